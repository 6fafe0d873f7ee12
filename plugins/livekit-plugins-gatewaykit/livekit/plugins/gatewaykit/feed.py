"""The audio of one stream on its way in: kept for a replay, judged by loudness, gated if asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from livekit import rtc
from livekit.agents import vad

from .gate import SpeechGate
from .replay import ArrivalLog, ReplayRing
from .voicing import VoicedRuns

_LOOK_BACK_S = 30.0
"""Longer than any ring, so that pauses and arrivals of all audio held are known."""
_CHUNK_MS = 50
"""Judged and sent in pieces of 20 to 50 ms; RoomIO's own frames are 50 ms."""
_MIN_CHUNK_MS = 20
_SILENCE_RETENTION_S = 2.0
"""Silence kept while nobody speaks: somebody may have begun too softly to notice."""
_NOISE_RETENTION_S = 8.0
"""Loud audio kept that a live server made nothing of; longer than its silence watchdog."""


class AudioFeed:
    """Audio from ``push`` to the point where it need not be sent again.

    Args:
        sample_rate: Samples a second, mono.
        ring_s: Seconds kept for a replay.
        detector: A voice activity detector to gate sending with, or ``None`` to send everything.
    """

    def __init__(self, *, sample_rate: int, ring_s: float, detector: vad.VAD | None) -> None:
        self.sample_rate = sample_rate
        self.ring = ReplayRing(capacity=int(ring_s * sample_rate))
        window = int((ring_s + _LOOK_BACK_S) * sample_rate)
        self.runs = VoicedRuns(sample_rate=sample_rate, window=window)
        self.arrivals = ArrivalLog(window=window, sample_rate=sample_rate)
        self.gate = SpeechGate(detector, sample_rate=sample_rate) if detector else None
        self._chunk_bytes = sample_rate * _CHUNK_MS // 1000 * 2
        self._min_chunk_bytes = sample_rate * _MIN_CHUNK_MS // 1000 * 2
        self._partial = bytearray()
        self._ended = False
        self._outage = False
        self._audio_added = asyncio.Event()
        self._audio_taken = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether no audio will be added any more."""
        return self._ended

    @property
    def finished(self) -> bool:
        """Whether all audio there will ever be has been sent."""
        return self._ended and self.ring.unsent == 0

    async def add(self, frame: rtc.AudioFrame, on_chunk: Callable[[], None]) -> None:
        """Take a frame; wait while the ring is full of audio that was never sent.

        A caller who speaks in real time never waits. During an outage nobody waits: the oldest
        audio falls out of the ring instead.
        """
        if self.gate is not None:
            self.gate.push(frame)
        self._partial += frame.data.tobytes()
        if len(self._partial) >= self._min_chunk_bytes:
            await self._commit(on_chunk)

    async def flush(self, on_chunk: Callable[[], None]) -> None:
        """Send what is held back for a chunk of its own."""
        await self._commit(on_chunk)

    async def end(self, on_chunk: Callable[[], None]) -> None:
        """No more audio."""
        await self._commit(on_chunk)
        self._ended = True
        self._audio_added.set()

    def begin_outage(self) -> None:
        """The connection is lost; audio that does not fit is dropped."""
        self._outage = True
        self._audio_taken.set()

    def end_outage(self) -> None:
        """There is a connection again."""
        self._outage = False

    async def wait_for_audio(self) -> None:
        """Return when audio was added, the input ended, or somebody said to look again."""
        self._audio_added.clear()
        if not self._ended:
            await self._audio_added.wait()

    def look_again(self) -> None:
        """Time has passed: a gate may have opened for audio that was there already."""
        self._audio_added.set()

    def take(self, maximum: int, *, owed: bool) -> tuple[int, bytes]:
        """The next audio to send: its position, and at most ``maximum`` samples of it.

        Args:
            maximum: Samples.
            owed: Whether a final is still to come, which keeps a gate open.
        """
        ring = self.ring
        # at the end the detector may not have reported the last onset, and little is left
        if self.gate is not None and not owed and not self._ended:
            skip_to = self.gate.skip_to(ring.cursor, ring.end)
            if skip_to is not None:
                ring.skip_to(skip_to)
                ring.cover(skip_to)
                return ring.cursor, b""
        position = ring.cursor
        pcm = ring.read(maximum)
        self._audio_taken.set()
        return position, pcm

    def forget_idle(self) -> None:
        """The server hears nobody speak: let go of what a reconnect would not need."""
        ring = self.ring
        silence_ends = ring.cursor - int(_SILENCE_RETENTION_S * self.sample_rate)
        if self.runs.voiced_between(ring.covered, silence_ends) == 0:
            ring.cover(silence_ends)
        ring.cover(ring.cursor - int(_NOISE_RETENTION_S * self.sample_rate))

    async def aclose(self) -> None:
        """Stop the gate's detector."""
        if self.gate is not None:
            await self.gate.aclose()

    async def _commit(self, on_chunk: Callable[[], None]) -> None:
        data, self._partial = bytes(self._partial), bytearray()
        for first in range(0, len(data), self._chunk_bytes):
            await self._append(data[first : first + self._chunk_bytes])
            on_chunk()

    async def _append(self, pcm: bytes) -> None:
        while self.ring.room < len(pcm) // 2 and not self._outage:
            self._audio_taken.clear()
            await self._audio_taken.wait()
        self.ring.append(pcm)
        self.runs.push(pcm)
        self.arrivals.note(self.ring.end, time.monotonic())
        self._audio_added.set()
