"""What was measured, and the figures made of it. No I/O."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.lines import Kind
from bench.profiles import Profile
from bench.usage import MAX_FOREIGN_LOAD
from caller.floor import Floor


@dataclass(kw_only=True)
class Turn:
    """One turn at the caller's ear. What does not belong to its kind, or failed, is None.

    Attributes:
        kind: What happened in it.
        heard_ms: From the end of the caller's speech to the agent's first sound.
        stop_ms: From the onset of an interruption to silence.
        stopped: For each noise into the reply, whether it stopped it.
        cut_off: Whether the agent began before a line with a pause was over.
        llm_requests: Chat requests that the turn caused.
        failed: No reply came.
    """

    kind: Kind
    heard_ms: float | None = None
    stop_ms: float | None = None
    stopped: list[bool] = field(default_factory=list)
    cut_off: bool | None = None
    llm_requests: int = 0
    failed: bool = False


@dataclass(kw_only=True)
class Result:
    """All that was measured of one contestant.

    Attributes:
        name: Which one.
        turns: In the order they were held.
        call_s: Length of its calls.
        cpu_s: CPU seconds of its process tree in them.
        pss_mb: Memory of the tree at the end of each call.
        account_ms: How far the worker's own account of each turn is above the ear's.
        added_ms: What is added to its reply times because it was measured without a room.
        failures: Why calls were cut short, in words.
        ours: Whether it is Parley.
    """

    name: str
    turns: list[Turn] = field(default_factory=list)
    call_s: float = 0.0
    cpu_s: float = 0.0
    pss_mb: list[float] = field(default_factory=list)
    account_ms: list[float] = field(default_factory=list)
    added_ms: float = 0.0
    failures: list[str] = field(default_factory=list)
    ours: bool = False

    def add(self, call: Result) -> None:
        """Add what was measured in one call."""
        self.turns += call.turns
        self.call_s += call.call_s
        self.cpu_s += call.cpu_s
        self.pss_mb += call.pss_mb
        self.account_ms += call.account_ms
        self.failures += call.failures

    @property
    def heard(self) -> list[float]:
        """Reply times, ms, with what is added."""
        return [turn.heard_ms + self.added_ms for turn in self.turns if turn.heard_ms is not None]

    @property
    def stops(self) -> list[float]:
        """Barge-in times, ms."""
        return [turn.stop_ms for turn in self.turns if turn.stop_ms is not None]

    @property
    def noises(self) -> tuple[int, int]:
        """Noises that stopped the reply, and all of them."""
        judged = [stopped for turn in self.turns for stopped in turn.stopped]
        return sum(judged), len(judged)

    @property
    def cut_offs(self) -> tuple[int, int]:
        """Lines with a pause that the agent cut into, and all of them."""
        judged = [turn.cut_off for turn in self.turns if turn.cut_off is not None]
        return sum(judged), len(judged)

    @property
    def requests_a_turn(self) -> float | None:
        """Chat requests a turn, over turns in which one line was said and answered."""
        counted = [t.llm_requests for t in self.turns if t.kind == "plain" and not t.failed]
        return statistics.mean(counted) if counted else None

    @property
    def cpu_s_a_minute(self) -> float | None:
        """CPU seconds a call-minute."""
        return 60 * self.cpu_s / self.call_s if self.call_s and self.cpu_s else None

    @property
    def memory_mb(self) -> float | None:
        """Median PSS of the tree."""
        return statistics.median(self.pss_mb) if self.pss_mb else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, with the figures, for a file."""
        figures = {
            "p50_ms": percentile(self.heard, 50),
            "p90_ms": percentile(self.heard, 90),
            "p95_ms": percentile(self.heard, 95),
            "barge_in_p50_ms": percentile(self.stops, 50),
            "barge_in_p95_ms": percentile(self.stops, 95),
            "requests_a_turn": self.requests_a_turn,
            "cpu_s_a_minute": self.cpu_s_a_minute,
            "memory_mb": self.memory_mb,
        }
        return asdict(self) | {"figures": figures}


@dataclass(kw_only=True)
class Run:
    """A run and what came of it.

    Attributes:
        profile: The stages' times.
        floor: What the transport alone costs.
        results: One for each contestant, in the order of the table.
        foreign_load: Share of the machine that others took, for each call.
        held_again: Calls that were thrown away because others took too much.
        not_run: Contestants that could not take part, and why.
    """

    profile: Profile
    floor: Floor
    results: list[Result]
    foreign_load: list[float] = field(default_factory=list)
    held_again: int = 0
    not_run: dict[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether others took more of the machine than a valid run may have."""
        return max(self.foreign_load, default=0.0) > MAX_FOREIGN_LOAD

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {
            "simulated": True,
            "profile": asdict(self.profile),
            "floor": asdict(self.floor),
            "busy": self.busy,
            "foreign_load": [round(share, 3) for share in self.foreign_load],
            "held_again": self.held_again,
            "not_run": self.not_run,
            "results": [result.as_dict() for result in self.results],
        }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value below which `percent` of `values` lie, interpolated; None if there are none."""
    if not values:
        return None
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def ratio(results: Sequence[Result], ours: str) -> float | None:
    """The median reply time of `ours` over that of the fastest peer of the same run.

    None unless both were measured. The loop without a room is no peer: its time is arithmetic.
    """
    own = next((percentile(r.heard, 50) for r in results if r.name == ours), None)
    peers = [p for r in results if not r.ours and not r.added_ms and (p := percentile(r.heard, 50))]
    return own / min(peers) if own and peers else None
