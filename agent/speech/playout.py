"""What the agent says, played into the room: it stops at once, and goes on with the same word.

The framework's own output looks at a pause only between two frames of 50 ms, and what the room's
source had not played by then (up to 0.25 s) is lost to a caller who only coughed. Here a pause
empties the source there and then; the samples that nobody heard are kept, and a reply that goes on
does so a word before them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

import numpy as np
from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io

from .again import COVERED_S, begin_again
from .voiced import VoicedTime

_QUEUE_MS = 200
"""What the source wants to hold: how long the event loop may be late before the caller hears it."""
_CHUNK_S = 0.1
"""Sound that the source is given at a time; each costs a message to its library and one back."""
_LEAST_S = 0.02
"""A reply does not begin with less: what follows may be a packet late."""
_BLOCK_S = 0.01
"""The source plays whole blocks; what is left of a reply would be heard before the next."""
_KEPT_S = 1.0
"""Sound that is kept after the source was given it: what it holds, and what is said again."""

_TRACK = "agent_voice"
_SAMPLE_BYTES = 2


class Source(Protocol):
    """`rtc.AudioSource`, as far as it is used here; mono."""

    @property
    def queued_duration(self) -> float:
        """Seconds that it holds and has not played."""

    def clear_queue(self) -> None:
        """Throw away what it holds."""

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame; return when more is wanted."""

    async def wait_for_playout(self) -> None:
        """Return when it holds nothing."""

    async def aclose(self) -> None:
        """Stop."""


class Playback:
    """One reply's sound, or one part of it between two tool calls: a segment to the framework.

    Args:
        sample_rate: Samples a second, mono.
    """

    def __init__(self, *, sample_rate: int) -> None:
        self.voiced = VoicedTime(sample_rate=sample_rate)
        """Where in it there is voice."""
        self.ended = False
        """Whether all of it has come."""
        self.over = False
        """Whether no more of it will be heard."""
        self.cut = False
        """Whether it is over because it was interrupted, or there was no sound at all."""
        self._rate = sample_rate
        self._pcm = bytearray()
        self._dropped = 0  # bytes from its beginning that are not kept any more
        self._given = 0  # bytes from its beginning that the source was given
        self._repeated = 0  # bytes from its beginning that have been said again where need was
        self.begun = False
        """Whether the source was given any of it."""

    @property
    def given_s(self) -> float:
        """Seconds that the source was given and was not told to forget."""
        return self._given / _SAMPLE_BYTES / self._rate

    @property
    def all_given(self) -> bool:
        """Whether the source was given all of it."""
        return self.ended and self._left == 0

    @property
    def ready(self) -> bool:
        """Whether there is something to give to the source."""
        any_will_do = self.begun or self.ended
        return self._left >= (_SAMPLE_BYTES if any_will_do else self._bytes(_LEAST_S))

    def push(self, frame: rtc.AudioFrame) -> None:
        """More of it has come."""
        self._pcm += frame.data.cast("B")
        self.voiced.push(frame)

    def end(self) -> None:
        """All of it has come; silence fills its last block."""
        self.ended = True
        block = self._bytes(_BLOCK_S)
        self._pcm += bytes(-(self._dropped + len(self._pcm)) % block)

    def take(self) -> rtc.AudioFrame:
        """The next sound for the source; there must be some."""
        self.begun = True
        start = self._given - self._dropped
        data = bytes(self._pcm[start : start + self._bytes(_CHUNK_S)])
        self._given += len(data)
        if (old := start - self._bytes(_KEPT_S)) > 0:
            del self._pcm[:old]
            self._dropped += old
        return rtc.AudioFrame(data, self._rate, 1, len(data) // _SAMPLE_BYTES)

    def take_back(self, unheard_s: float) -> None:
        """The newest seconds that the source was given were not heard."""
        self._given = max(self._dropped, self._given - self._bytes(unheard_s))

    def go_back(self) -> None:
        """Say again what was covered by the noise of the pause, but nothing a third time."""
        stopped = self._given
        start = max(self._repeated, self._dropped, stopped - self._bytes(COVERED_S))
        heard = self._pcm[start - self._dropped : stopped - self._dropped]
        again = begin_again(np.frombuffer(heard, dtype=np.int16), sample_rate=self._rate)
        self._given -= again * _SAMPLE_BYTES
        self._repeated = max(self._repeated, stopped)

    @property
    def _left(self) -> int:
        return self._dropped + len(self._pcm) - self._given

    def _bytes(self, seconds: float) -> int:
        return round(seconds * self._rate) * _SAMPLE_BYTES


class Playout(io.AudioOutput):
    """The agent's voice in a room: an audio output to the framework.

    Segments are played one after the other. Whoever wants to say something waits until somebody
    listens.

    Args:
        sample_rate: Samples a second of what is said; mono.
        source: Where it is played; one that can be published in a room by default.
    """

    def __init__(self, *, sample_rate: int, source: Source | None = None) -> None:
        super().__init__(
            label="Playout",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=sample_rate,
        )
        self._source = source or rtc.AudioSource(sample_rate, 1, queue_size_ms=_QUEUE_MS)
        self._rate = sample_rate
        self._listened_to = asyncio.Event()
        self.paused = False
        """Whether it is to be silent for now."""
        self._playing: Playback | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self.coming = Playback(sample_rate=sample_rate)
        """The segment that takes in what is said next."""

    def start(self, room: rtc.Room) -> None:
        """Publish the voice in a room, which must be connected."""
        self._publishing = asyncio.create_task(self._publish(room))

    def listened_to(self) -> None:
        """Somebody listens: from now on what is said is played."""
        self._listened_to.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take in more of a segment, faster than it is played."""
        await self._listened_to.wait()
        while self._playing not in (None, self.coming):
            await self.moved()
        await super().capture_frame(frame)
        if self._playing is None:
            self._playing = self.coming
            self._feeding = asyncio.create_task(self._feed(self.coming, self._feeding))
        self.coming.push(frame)
        self._tell()

    def flush(self) -> None:
        """All of a segment has come."""
        super().flush()
        segment, self.coming = self.coming, Playback(sample_rate=self._rate)
        segment.end()
        if segment is not self._playing:  # there was no sound in it
            segment.over = segment.cut = True
        self._tell()

    def clear_buffer(self) -> None:
        """Fall silent; what was not heard never will be."""
        if (segment := self._playing) is None:
            return
        if segment is self.coming:
            self.flush()
        self._take_back(segment)
        segment.cut = True
        self._finish(segment)

    def pause(self) -> None:
        """Fall silent; what was not heard is kept."""
        super().pause()
        self.paused = True
        if self._playing:
            self._take_back(self._playing)
        self._tell()

    def resume(self) -> None:
        """Go on with what was not heard, from the word before it."""
        super().resume()
        if self.paused and self._playing:
            self._playing.go_back()
        self.paused = False
        self._tell()

    def heard_s(self, segment: Playback) -> float:
        """Seconds of a segment that were played so far."""
        held_s = self._source.queued_duration if segment is self._playing else 0.0
        return max(0.0, segment.given_s - held_s)

    async def moved(self, timeout_s: float | None = None) -> None:
        """Return when a segment begins, pauses, goes on, has come whole, is over, or after a time.

        Args:
            timeout_s: Seconds; None: no limit of its own, for calls end and close this.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()

    async def aclose(self) -> None:
        """Stop playing."""
        tasks = [task for task in (self._publishing, self._feeding) if task]
        await utils.aio.cancel_and_wait(*tasks)
        await self._source.aclose()

    async def _publish(self, room: rtc.Room) -> None:
        assert isinstance(self._source, rtc.AudioSource)
        track = rtc.LocalAudioTrack.create_audio_track(_TRACK, self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await room.local_participant.publish_track(track, options)
        await publication.wait_for_subscription()
        self.listened_to()

    async def _feed(self, segment: Playback, before: asyncio.Task[None] | None) -> None:
        """Give a segment to the source, as it wants it."""
        if before:  # the source takes one frame at a time, and a cut one may be on its way yet
            await asyncio.wait([before])
        try:
            while not segment.over:
                if segment.all_given and not self._source.queued_duration:
                    self._finish(segment)
                elif segment.all_given:
                    await self._source.wait_for_playout()  # ends at once when the queue is cleared
                elif self.paused or not segment.ready:
                    await self.moved()
                else:
                    await self._give(segment)
        finally:
            if not segment.over:  # the source has failed, or is closed
                segment.cut = True
                self._finish(segment)

    async def _give(self, segment: Playback) -> None:
        """Give the source some of a segment; return when it wants more."""
        begins = not segment.begun
        chunk = segment.take()
        if begins:
            self.on_playback_started(created_at=time.time())
            self._tell()
        await self._source.capture_frame(chunk)
        if self.paused or segment.over:  # its thread may have taken the chunk after it was cleared
            self._source.clear_queue()

    def _take_back(self, segment: Playback) -> None:
        segment.take_back(self._source.queued_duration)
        self._source.clear_queue()

    def _finish(self, segment: Playback) -> None:
        segment.over = True
        self._playing = None
        self._tell()
        self.on_playback_finished(playback_position=segment.given_s, interrupted=segment.cut)

    def _tell(self) -> None:
        self._moved.set()
        self._moved.clear()
