"""Turns the arrival times of audio frames into times on one steady sample timeline."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 3.0
"""How far back the clock looks for its least delayed frame. Long enough to outlast the stalls of a
starved event loop, short enough that a clock's drift (50 ppm: 50 µs a second) stays invisible."""
STEP_S = 0.02
"""A lasting lateness above this is a hole in the audio, not a late event loop."""
STEP_FRAMES = 30
"""Frames in a row that must be late by the same amount before it counts as a hole. A starved
machine delivers a few frames equally late; 300 ms of them it does not."""
STEP_SPREAD_S = 0.006
"""How equal "the same amount" is. After a stall the frames come in a clump, each 10 ms less late
than the one before; after a hole they spread over the jitter."""


@dataclass(frozen=True, kw_only=True)
class ClockHealth:
    """How trustworthy the times of one stream were.

    Attributes:
        drift_ms: How far the timeline moved against the monotonic clock since it settled.
        late_ms: The worst lateness of one frame (a busy event loop); it does not touch the times.
        holes: Times that audio was missing and the timeline had to be anchored anew.
        lost_ms: Audio missing in those holes.
    """

    drift_ms: float
    late_ms: float
    holes: int
    lost_ms: float


class SampleClock:
    """Gives every sample of a stream the time at which it passed, in seconds of `time.monotonic`.

    Frames are made every 10 ms by a native thread but are seen when the event loop gets to them,
    which is late by anything from 0 to a stall, and never early. The least delayed frame of the
    last seconds therefore anchors the timeline, and each frame's time is counted in samples from
    there: clumps do not move it, drift does.

    Args:
        rate: Samples a second.
    """

    def __init__(self, *, rate: int) -> None:
        self._rate = rate
        self._samples = 0
        self._delays: deque[tuple[float, float]] = deque()  # (arrival, arrival - sample time)
        self._recent: deque[float] = deque(maxlen=STEP_FRAMES)
        self._first_arrival: float | None = None
        self._settled: float | None = None
        self._anchor = 0.0
        self._late = 0.0
        self._holes = 0
        self._lost = 0.0

    def observe(self, *, arrival: float, samples: int) -> float:
        """Take one frame in and return the time of its arrival had nothing been late.

        Args:
            arrival: When the frame was seen, seconds of `time.monotonic`.
            samples: Samples in the frame.
        """
        delay = arrival - self._samples / self._rate
        self._recent.append(delay)
        if self._is_hole(delay):
            self._holes += 1
            self._lost += min(self._recent) - self._anchor
            if self._settled is not None:
                self._settled += min(self._recent) - self._anchor
            self._delays.clear()
            self._delays.append((arrival, min(self._recent)))
        while self._delays and arrival - self._delays[0][0] > WINDOW_S:
            self._delays.popleft()
        # Only frames that could still become the minimum are kept: ascending delays.
        while self._delays and self._delays[-1][1] >= delay:
            self._delays.pop()
        self._delays.append((arrival, delay))
        self._anchor = self._delays[0][1]
        self._note(arrival, delay)
        at = self._anchor + self._samples / self._rate
        self._samples += samples
        return at

    @property
    def health(self) -> ClockHealth:
        """What is known about the timeline so far."""
        drift = 0.0 if self._settled is None else self._anchor - self._settled
        return ClockHealth(
            drift_ms=round(drift * 1000, 2),
            late_ms=round(self._late * 1000, 1),
            holes=self._holes,
            lost_ms=round(self._lost * 1000, 1),
        )

    def _is_hole(self, delay: float) -> bool:
        if len(self._recent) < STEP_FRAMES or not self._delays:
            return False
        spread = max(self._recent) - min(self._recent)
        return min(self._recent) - self._anchor > STEP_S and spread < STEP_SPREAD_S

    def _note(self, arrival: float, delay: float) -> None:
        self._late = max(self._late, delay - self._anchor)
        if self._first_arrival is None:
            self._first_arrival = arrival
        # The first frames often come late together (the subscription itself takes time), so drift
        # is counted from the anchor that a full window has settled on.
        if self._settled is None and arrival - self._first_arrival > WINDOW_S:
            self._settled = self._anchor
