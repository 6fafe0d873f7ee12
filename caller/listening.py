"""Remembers what is heard: when it sounded, and what it sounded like."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from caller.activity import FRAME_S, Activity, Samples, level_dbfs
from caller.audio import EAR_RATE, resample
from caller.clock import ClockHealth, SampleClock
from caller.recording import RATE, Recording

AUDIO_KEPT_S = 180.0
"""How much of the past can still be transcribed, seconds (96 kB each)."""
AROUND_S = 0.3
"""Silence given to the recogniser on both sides of an utterance."""

T = TypeVar("T")


class Listening:
    """Sound at the moment that a loudspeaker would get it.

    Args:
        recording: Where it is written, if anywhere.
        rate: Samples a second.
    """

    def __init__(self, *, recording: Recording | None, rate: int = RATE) -> None:
        self.activity = Activity()
        self._rate = rate
        self._recording = recording
        self._clock = SampleClock(rate=rate)
        self._kept: deque[tuple[float, Samples]] = deque(maxlen=round(AUDIO_KEPT_S / FRAME_S))
        self._tick = asyncio.Event()

    @property
    def health(self) -> ClockHealth:
        """How steady the timeline of what it listens to (or did last) is."""
        return self._clock.health

    def take(self, samples: Samples, arrival: float) -> None:
        """Hear some sound: a whole number of frames of `FRAME_S`.

        Args:
            samples: Mono, at its rate.
            arrival: When it was seen, seconds of `time.monotonic`.
        """
        at = self._clock.observe(arrival=arrival, samples=len(samples))
        size = round(self._rate * FRAME_S)
        for i in range(0, len(samples), size):
            frame, begun = samples[i : i + size], at + i / self._rate
            self.activity.push(begun, level_dbfs(frame))
            self._kept.append((begun, frame))
        if self._recording:
            # A recording is for people: to repeat samples is good enough for it.
            self._recording.write("agent", at, np.repeat(samples, RATE // self._rate))
        self._tick.set()

    def wake(self) -> None:
        """Have everyone who waits look again."""
        self._tick.set()

    async def until(self, found: Callable[[], T | None], *, timeout_s: float) -> T | None:
        """Look at every frame until `found` returns something; None when time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (result := found()) is None:
                    self._tick.clear()
                    await self._tick.wait()
                return result
        return found()

    def audio(self, start: float, end: float) -> bytes:
        """What was heard from `start` to `end` (seconds) and `AROUND_S` beside, s16le mono 16 kHz.

        Only the last `AUDIO_KEPT_S` seconds are still there.
        """
        first, last = start - AROUND_S, end + AROUND_S
        parts = [samples for at, samples in self._kept if first <= at < last]
        if not parts:
            return b""
        return resample(np.concatenate(parts), rate=self._rate, to=EAR_RATE).tobytes()
