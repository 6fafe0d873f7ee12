"""Listens to one remote track of a room."""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np
from livekit import rtc

from caller.activity import FRAME_S
from caller.clock import SampleClock
from caller.listening import Listening
from caller.recording import RATE, Recording


class Ear(Listening):
    """The sound of one track at the moment a loudspeaker would get it.

    Args:
        recording: Where the agent's side is written, if anywhere.
    """

    def __init__(self, *, recording: Recording | None) -> None:
        super().__init__(recording=recording)
        self._track: rtc.Track | None = None
        self._stream: rtc.AudioStream | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def track(self) -> rtc.Track | None:
        """The track it listens to now."""
        return self._track

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
            arrival = time.monotonic()
            self.take(np.frombuffer(bytes(event.frame.data), dtype=np.int16), arrival)
