"""Publishes the caller's microphone and knows when each word left it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from livekit import rtc

from caller.activity import FRAME_S
from caller.clock import ClockHealth, SampleClock
from caller.errors import CallEnded, CallerError
from caller.recording import Recording
from caller.voice import RATE, Line

QUEUE_MS = 50
"""Audio the source holds ahead of what it sends. A stall of the event loop shorter than this is not
heard; speech begins and can be stopped this much late at worst."""
STUCK_S = 2.0
"""A line that takes this much longer than its own length is given up."""

FRAME_SAMPLES = round(RATE * FRAME_S)


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A line as it left the microphone.

    Attributes:
        said: Its words.
        onset_s: When the speech (not the file) began, seconds of `time.monotonic`.
        end_s: When it ended.
        stutter_ms: How much longer it took than it is: gaps torn by a busy machine. A turn with
            any is not worth timing.
    """

    said: str = field(repr=False)
    onset_s: float
    end_s: float
    stutter_ms: float


@dataclass
class _Playing:
    """A line on its way out."""

    line: Line
    spoken: asyncio.Future[Spoken]
    frames: deque[tuple[int, bytes]] = field(default_factory=deque)  # pushed, not yet seen to leave
    onset_s: float = 0.0


class Mouth:
    """One microphone track, always live: the source itself sends silence while nobody speaks.

    What leaves is read back from the track, frame by frame, on the clock that also times the ear.
    So the time of a word is when WebRTC got it, whatever was queued before it. A microphone hands
    a frame over when its last sample has been spoken; that is how the frames are timed.

    Args:
        recording: Where the caller's side is written, if anywhere.
    """

    def __init__(self, *, recording: Recording | None) -> None:
        self._recording = recording
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        self._track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self._clock = SampleClock(rate=RATE)
        self._playing: _Playing | None = None
        self._turn = asyncio.Lock()
        self._stream: rtc.AudioStream | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def health(self) -> ClockHealth:
        """How steady the timeline of what was sent is."""
        return self._clock.health

    async def open(self, room: rtc.Room) -> None:
        """Publish the microphone in `room`."""
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        await room.local_participant.publish_track(self._track, options)
        self._stream = rtc.AudioStream.from_track(
            track=self._track, sample_rate=RATE, num_channels=1, frame_size_ms=round(FRAME_S * 1000)
        )
        self._watching = asyncio.create_task(self._watch(self._stream), name="caller mouth")

    async def speak(self, line: Line, *, not_before: float = 0.0) -> Spoken:
        """Say a line in real time and return when all of it has left.

        Args:
            line: What to say.
            not_before: Time (seconds, monotonic) at which its speech shall begin; it does so
                within the 10 ms after.

        Raises:
            CallEnded: The call was closed meanwhile.
            CallerError: The audio did not leave (the machine is far too busy).
        """
        async with self._turn:
            # A frame given to the idle source now was "spoken" in the 10 ms before it leaves.
            push_at = not_before - line.start / RATE + FRAME_S
            await asyncio.sleep(max(0.0, push_at - time.monotonic()))
            playing = _Playing(line, asyncio.get_running_loop().create_future())
            self._playing = playing
            try:
                async with asyncio.timeout(len(line.samples) / RATE + STUCK_S):
                    await self._push(playing)
                    return await playing.spoken
            except TimeoutError:
                raise CallerError(
                    "The caller's speech did not leave in time: the machine is too busy."
                ) from None
            finally:
                self._playing = None
                playing.spoken.cancel()
                self._source.clear_queue()

    async def aclose(self) -> None:
        """Fall silent and stop watching."""
        if self._playing and not self._playing.spoken.done():
            self._playing.spoken.set_exception(CallEnded("The call ended while the caller spoke."))
        if self._stream:
            await self._stream.aclose()
        if self._watching:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._source.aclose()

    async def _push(self, playing: _Playing) -> None:
        samples = playing.line.samples
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        for i in range(0, len(padded), FRAME_SAMPLES):
            data = padded[i : i + FRAME_SAMPLES].tobytes()
            playing.frames.append((i, data))
            await self._source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME_SAMPLES))

    async def _watch(self, stream: rtc.AudioStream) -> None:
        async for event in stream:
            left = self._clock.observe(
                arrival=time.monotonic(), samples=event.frame.samples_per_channel
            )
            data = bytes(event.frame.data)
            if self._recording:
                self._recording.write("caller", left - FRAME_S, np.frombuffer(data, dtype=np.int16))
            self._note(left, data)

    def _note(self, left: float, data: bytes) -> None:
        """Match a frame that left with the one that was pushed first; others are idle silence."""
        playing = self._playing
        if playing is None or not playing.frames or playing.frames[0][1] != data:
            return
        first, _ = playing.frames.popleft()
        line, began = playing.line, left - FRAME_S
        if first <= line.start < first + FRAME_SAMPLES:
            playing.onset_s = began + (line.start - first) / RATE
        if first < line.end <= first + FRAME_SAMPLES and not playing.spoken.done():
            end_s = began + (line.end - first) / RATE
            stutter = end_s - playing.onset_s - (line.end - line.start) / RATE
            playing.spoken.set_result(
                Spoken(
                    said=line.said,
                    onset_s=playing.onset_s,
                    end_s=end_s,
                    stutter_ms=max(0.0, round(stutter * 1000, 1)),
                )
            )
