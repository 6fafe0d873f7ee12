"""Counters of what clients did, for tests, benchmarks and `GET /admin/stats`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

Stage = Literal["stt", "llm", "tts", "realtime"]
"""`realtime` is a whole pipeline behind one connection."""


class Outcome(Enum):
    """How a connection ended. Each one is counted exactly once."""

    COMPLETED = "completed"
    CLOSED_BY_CLIENT = "closed_by_client"
    ERRORS = "errors"


@dataclass
class StageCounters:
    """Counters of one stage; `opened` is always the sum of `open` and the three outcomes."""

    opened: int = 0
    """Handshakes (speech) or requests (chat) that were accepted."""
    open: int = 0
    """Those that live now."""
    closed_by_client: int = 0
    """Those that the client cancelled before all that was asked for had been sent."""
    completed: int = 0
    errors: int = 0
    faults: int = 0
    """Faults of a script that have acted. They are not connections and not part of the sum."""

    def as_dict(self) -> dict[str, int]:
        """Return the counters as a JSON object."""
        return {
            "opened": self.opened,
            "open": self.open,
            "closed_by_client": self.closed_by_client,
            "completed": self.completed,
            "errors": self.errors,
            "faults": self.faults,
        }


@dataclass
class Call:
    """One live connection; the handler states how it ended, an exception counts as an error."""

    outcome: Outcome = Outcome.ERRORS
    failed: bool = False

    def fail(self) -> None:
        """Count it as an error whatever its handler makes of its end."""
        self.failed = True


@dataclass
class Stats:
    """Counters of a gateway, by stage."""

    stages: dict[Stage, StageCounters] = field(
        default_factory=lambda: {
            "stt": StageCounters(),
            "llm": StageCounters(),
            "tts": StageCounters(),
            "realtime": StageCounters(),
        }
    )

    @contextmanager
    def call(self, stage: Stage) -> Iterator[Call]:
        """Count one connection from here to the end of the block, by the outcome it was given."""
        counters = self.stages[stage]
        counters.opened += 1
        counters.open += 1
        call = Call()
        try:
            yield call
        finally:
            counters.open -= 1
            name = (Outcome.ERRORS if call.failed else call.outcome).value
            setattr(counters, name, getattr(counters, name) + 1)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """Return a copy of all counters as a JSON object."""
        return {stage: counters.as_dict() for stage, counters in self.stages.items()}
