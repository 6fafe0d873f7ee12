"""This machine's clock against those of the peers: tokens of a clock that is off are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from .findings import Finding, State

_REFUSED_S = 60.0
"""LiveKit accepts a minute of leeway in a token's times."""
_SUSPECT_S = 5.0
"""The Date header counts whole seconds, and an answer takes its time."""

_FIX = "Set the clock: `timedatectl set-ntp true`, or your host's time service."


class ClockReadings:
    """What peers said the time is.

    Args:
        wall_clock: This machine's seconds since the epoch.
    """

    def __init__(self, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._ahead_s: dict[str, float] = {}

    def note(self, peer: str, date: str | None) -> None:
        """Compare with an HTTP `Date` header just received; one that is no date is left out."""
        try:
            told = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        self._ahead_s[peer] = self._wall_clock() - told

    def finding(self) -> Finding:
        """What the readings say together: the peer that agrees best is believed."""
        if not self._ahead_s:
            return self._found(State.UNKNOWN, "no peer told its time")
        peer, ahead_s = min(self._ahead_s.items(), key=lambda reading: abs(reading[1]))
        if abs(ahead_s) < _SUSPECT_S:
            return self._found(State.OK, f"agrees with {peer}")
        way = "ahead of" if ahead_s > 0 else "behind"
        state = State.FAIL if abs(ahead_s) > _REFUSED_S else State.WARN
        return self._found(state, f"{abs(ahead_s):.0f} s {way} {peer}", _FIX)

    @staticmethod
    def _found(state: State, found: str, fix: str = "") -> Finding:
        return Finding(subject="machine", check="clock", state=state, found=found, fix=fix)
