"""A bad line to order: packets lost and delayed, the same ones each time for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a line does to packets.

    Attributes:
        loss: Share of the packets that never arrive, 0 to 1.
        jitter_ms: Each packet is late by something between 0 and this; order is kept, as a queue
            in a router keeps it.
        seed: Chooses which packets.
    """

    loss: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1 or self.jitter_ms < 0:
            raise ValueError("loss is between 0 and 1, and jitter is not negative")


PERFECT = Line()


class Fate:
    """Decides what becomes of each packet of one direction."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._random = random.Random(line.seed)
        self._last = float("-inf")

    def of(self, now: float) -> float | None:
        """When a packet that is sent at `now` (seconds) arrives; None if it never does."""
        late = self._random.random() * self._line.jitter_ms / 1000
        if self._random.random() < self._line.loss:
            return None
        self._last = max(self._last, now + late)
        return self._last
