"""Listens to one remote track: when it sounds, and what it sounded like."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from livekit import rtc

from caller.activity import FRAME_S, Activity, Samples, level_dbfs
from caller.audio import EAR_RATE, resample
from caller.clock import ClockHealth, SampleClock
from caller.recording import RATE, Recording

AUDIO_KEPT_S = 180.0
"""How much of the past can still be transcribed, seconds (96 kB each)."""
AROUND_S = 0.3
"""Silence given to the recogniser on both sides of an utterance."""

T = TypeVar("T")


class Ear:
    """The sound of one track at the moment a loudspeaker would get it.

    Args:
        recording: Where the agent's side is written, if anywhere.
    """

    def __init__(self, *, recording: Recording | None) -> None:
        self.activity = Activity()
        self._recording = recording
        self._clock = SampleClock(rate=RATE)
        self._kept: deque[tuple[float, Samples]] = deque(maxlen=round(AUDIO_KEPT_S / FRAME_S))
        self._tick = asyncio.Event()
        self._track: rtc.Track | None = None
        self._stream: rtc.AudioStream | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def track(self) -> rtc.Track | None:
        """The track it listens to now."""
        return self._track

    @property
    def health(self) -> ClockHealth:
        """How steady the timeline of the track it listens to (or did last) is."""
        return self._clock.health

    def attach(self, track: rtc.Track) -> None:
        """Begin to listen to `track`, unless it listens to one already (background sound, say)."""
        if self._track is not None:
            return
        self._track = track
        self._clock = SampleClock(rate=RATE)
        self._stream = rtc.AudioStream.from_track(
            track=track, sample_rate=RATE, num_channels=1, frame_size_ms=round(FRAME_S * 1000)
        )
        self._listening = asyncio.create_task(self._listen(self._stream), name="caller ear")

    def detach(self, track: rtc.Track) -> None:
        """Stop listening to `track` if it is the one."""
        if self._track is not None and self._track.sid == track.sid:
            self._track = None
            self.wake()

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
        return resample(np.concatenate(parts), rate=RATE, to=EAR_RATE).tobytes()

    async def aclose(self) -> None:
        """Stop listening."""
        self._track = None
        if self._stream:
            await self._stream.aclose()
        if self._listening:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        self.wake()

    async def _listen(self, stream: rtc.AudioStream) -> None:
        async for event in stream:
            at = self._clock.observe(
                arrival=time.monotonic(), samples=event.frame.samples_per_channel
            )
            samples = np.frombuffer(bytes(event.frame.data), dtype=np.int16)
            self.activity.push(at, level_dbfs(samples))
            self._kept.append((at, samples))
            if self._recording:
                self._recording.write("agent", at, samples)
            self._tick.set()
