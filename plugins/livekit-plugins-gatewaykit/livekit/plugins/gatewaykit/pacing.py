"""Requests spaced out, so that the gateway need not refuse them.

A token bucket in the form of a clock (GCRA): all that is kept is the time at which the bucket will
be full again. Whoever asks takes the next slot and waits for it; who would wait too long takes none
and is told so. After a refusal for too many requests (429) the pace is halved, and comes back
bit by bit (additive increase, multiplicative decrease): senders that share a limit nobody told them
of find their share of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import os
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import PacedOutError
from .limits import require_positive

_SLOWER = 0.5
"""What a 429 leaves of the pace."""
_SLOWEST = 0.05
"""Share of the full pace below which it never falls."""
_RECOVERS_PER_S = 0.05
"""Share of the full pace that comes back every second: 10 s after one 429 it is whole."""
_SAME_EVENT_S = 1.0
"""Refusals within this are one: the requests were under way together."""
_STALE_S = 120.0
"""A bucket that claims to be full only so much later was written before the machine started."""
_LOCK_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """The pace of one account."""

    requests_per_s: float
    """Requests a second, handshakes of sockets included."""
    burst: int = 5
    """Requests that may leave at once after a pause."""

    def __post_init__(self) -> None:
        require_positive(self)


class Slots(Protocol):
    """Where the time at which the bucket is full again is kept, in monotonic seconds."""

    def exchange(self, next_of: Callable[[float], float]) -> None:
        """Replace the time by ``next_of`` it, with nobody in between."""


class LocalSlots:
    """For one process."""

    def __init__(self) -> None:
        self._full_at = -math.inf

    def exchange(self, next_of: Callable[[float], float]) -> None:
        """Replace the time."""
        self._full_at = next_of(self._full_at)


class FileSlots:
    """For all processes of a machine, whose monotonic clock is the same.

    A file that cannot be used leaves each process with its own.

    Args:
        path: The file; it and its folder are made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = LocalSlots()

    def exchange(self, next_of: Callable[[float], float]) -> None:
        """Replace the time."""
        try:
            with self._locked() as file:
                data = os.pread(file, 8, 0)
                full_at: float = struct.unpack("<d", data)[0] if len(data) == 8 else -math.inf
                if not full_at < time.monotonic() + _STALE_S:
                    full_at = -math.inf
                os.pwrite(file, struct.pack("<d", next_of(full_at)), 0)
        except OSError:
            self._own.exchange(next_of)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, locked for the microseconds that it takes.

        Raises:
            OSError: It cannot be had; one who was stopped with the lock must not stop the others.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for left in reversed(range(_LOCK_TRIES)):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not left:
                        raise
                    os.sched_yield()
            yield file
        finally:
            os.close(file)


class Pacer:
    """Hands out the slots of one account.

    Args:
        pacing: The pace.
        slots: Where it is kept; by default for this process.
        clock: Monotonic seconds.
        sleep: Waits the seconds it is given.
    """

    def __init__(
        self,
        pacing: Pacing,
        *,
        slots: Slots | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._pacing = pacing
        self._slots = slots or LocalSlots()
        self._clock = clock
        self._sleep = sleep
        self._share = 1.0
        self._share_at = clock()
        self._limited_at = -math.inf
        self.waited_s = 0.0
        """Seconds that requests have waited for their slots."""

    @property
    def requests_per_s(self) -> float:
        """The pace right now."""
        return self._pacing.requests_per_s * self._recovered()

    async def wait(self, *, within_s: float) -> None:
        """Wait for the next slot.

        Raises:
            PacedOutError: It is later than ``within_s``; no slot was taken.
        """
        interval_s = 1.0 / self.requests_per_s
        wait_s = self._reserve(interval_s, within_s)
        if wait_s > within_s:
            raise PacedOutError(requests_per_s=self._pacing.requests_per_s, wait_s=wait_s)
        if wait_s > 0:
            self.waited_s += wait_s
            await self._sleep(wait_s)

    def limited(self) -> None:
        """The gateway refused a request for there being too many."""
        now = self._clock()
        if now - self._limited_at < _SAME_EVENT_S:
            return
        self._share = max(_SLOWEST, self._recovered() * _SLOWER)
        self._share_at = self._limited_at = now

    def _recovered(self) -> float:
        return min(1.0, self._share + (self._clock() - self._share_at) * _RECOVERS_PER_S)

    def _reserve(self, interval_s: float, within_s: float) -> float:
        now = self._clock()
        wait_s = 0.0

        def next_of(full_at: float) -> float:
            nonlocal wait_s
            wait_s = max(0.0, full_at - (self._pacing.burst - 1) * interval_s - now)
            return full_at if wait_s > within_s else max(full_at, now) + interval_s

        self._slots.exchange(next_of)
        return wait_s
