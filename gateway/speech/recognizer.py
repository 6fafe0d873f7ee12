"""A streaming recogniser made of a voice activity detector and a recogniser of whole stretches.

An *utterance* runs from an onset to the silence that ends it. It is decoded in *windows*: once a
window is older than `settle_window_ms`, the next short pause settles its words and a new window
begins, so the cost of a partial does not grow with the utterance. At every pause the open window is
decoded in advance: when the silence lasts, that is the final; when it does not, it was a partial.

All state is touched by the event loop only; one task per stream decodes, so results keep their
order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.config import STT_SAMPLE_RATE_HZ, Limits, SttConfig
from gateway.engines.base import SpeechStarted, SttEvent
from gateway.speech.decode_queue import Decoded, DecodeQueue
from gateway.speech.endpointer import Boundary, Endpointer, EndpointerConfig
from gateway.speech.pcm import BYTES_PER_SAMPLE, SampleAligner, to_samples
from gateway.speech.vad import FRAME_SAMPLES, Samples, VoiceActivity
from gateway.wire.aigateway import SttOptions, Transcript, Word

_FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE
_FRAME_MS = 1000 * FRAME_SAMPLES / STT_SAMPLE_RATE_HZ
_TAIL_SAMPLES = STT_SAMPLE_RATE_HZ // 10
"""Silence kept after the last speech of a window: Whisper clips last words without any."""
_FRAMES_PER_YIELD = 16
"""Frames looked at before other tasks get a turn, when a client sends a long burst (about 3 ms)."""
_EVENT_QUEUE_SIZE = 64
"""Results waiting for a client that does not read."""


@dataclass(frozen=True)
class _Window:
    """A stretch of audio, in samples since the start of the stream."""

    start: int
    end: int


@dataclass
class _Utterance:
    onset: int
    """First sample of speech."""
    window_start: int
    voice_end: int
    """One past the last sample of speech so far."""
    settled: list[tuple[_Window, Decoded]] = field(default_factory=list)
    latest: tuple[_Window, Decoded] | None = None
    """Newest decode of the open window."""
    partial_at: int = 0
    """Sample up to which the newest partial had heard."""
    partial_text: str = ""
    audio: Samples | None = None
    """Audio of the open window, kept here once the utterance is closed."""
    speech_final: bool = False
    from_finalize: bool = False

    def window(self, limit: int) -> _Window:
        """The open window up to a little after the last speech, but no later than `limit`."""
        return _Window(self.window_start, min(self.voice_end + _TAIL_SAMPLES, limit))

    def text(self) -> str:
        parts = [decoded.text for _, decoded in self.settled]
        if self.latest is not None:
            parts.append(self.latest[1].text)
        return " ".join(part for part in parts if part)


class _Tape:
    """The audio of a stream that may still be needed, addressed by samples since its start."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._start = 0

    @property
    def end(self) -> int:
        return self._start + len(self._pcm) // BYTES_PER_SAMPLE

    def append(self, pcm: bytes) -> None:
        self._pcm += pcm

    def forget_before(self, sample: int) -> None:
        count = min(sample, self.end) - self._start
        if count > 0:
            del self._pcm[: count * BYTES_PER_SAMPLE]
            self._start += count

    def read(self, window: _Window) -> Samples:
        first = (window.start - self._start) * BYTES_PER_SAMPLE
        last = (window.end - self._start) * BYTES_PER_SAMPLE
        return to_samples(self._pcm[first:last])


class StreamRecognizer:
    """One stream of audio being recognised; see `gateway.engines.base.SttSession`."""

    def __init__(
        self,
        *,
        decoder: DecodeQueue,
        vad: VoiceActivity,
        options: SttOptions,
        config: SttConfig,
        limits: Limits,
        words: bool,
    ) -> None:
        self._decoder = decoder
        self._vad = vad
        self._options = options
        self._config = config
        self._limits = limits
        self._words = words
        asked = options.endpointing_ms
        self._endpointer = Endpointer(
            EndpointerConfig.from_ms(
                threshold=config.vad_threshold,
                pause_ms=config.speculate_after_ms,
                end_ms=config.endpointing_ms if asked is None else asked or None,
                frame_ms=_FRAME_MS,
            )
        )
        self._aligner = SampleAligner()
        self._unseen = bytearray()
        self._tape = _Tape()
        self._cut = 0  # audio before this sample belongs to a closed utterance
        self._utterance: _Utterance | None = None
        self._closed: deque[_Utterance] = deque()
        self._ended = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._events: asyncio.Queue[SttEvent | None] = asyncio.Queue(_EVENT_QUEUE_SIZE)
        self._task = asyncio.create_task(self._run(), name="stt-decode")

    @property
    def in_utterance(self) -> bool:
        """Whether speech was heard whose final has not been told."""
        return self._utterance is not None or bool(self._closed)

    @property
    def audio_s(self) -> float:
        """Length of the audio taken so far."""
        return self._tape.end / STT_SAMPLE_RATE_HZ

    async def push(self, pcm: bytes) -> None:
        """Take s16le mono 16 kHz; waits while too many finals are pending."""
        self._unseen += self._aligner.push(pcm)
        offset = 0
        seen = 0
        while offset + _FRAME_BYTES <= len(self._unseen):
            await self._room.wait()
            await self._take_frame(bytes(self._unseen[offset : offset + _FRAME_BYTES]))
            offset += _FRAME_BYTES
            seen += 1
            if seen % _FRAMES_PER_YIELD == 0:
                await asyncio.sleep(0)
        del self._unseen[:offset]
        self._wake.set()

    def finalize(self) -> None:
        """End the open utterance now and tell its final as soon as it is known."""
        if self._utterance is None and self._endpointer.onset_run:
            self._begin_utterance()  # the first frame of a word was all that came
        if self._utterance is not None:
            self._tape.append(bytes(self._unseen))  # less than a frame: too short to rate
            self._unseen.clear()
            self._utterance.voice_end = self._tape.end
            self._utterance.from_finalize = True
            self._close_utterance()
        self._endpointer.reset()

    def end_input(self) -> None:
        """Finalize; `events` ends after the last final."""
        self.finalize()
        self._ended = True
        self._wake.set()

    async def events(self) -> AsyncIterator[SttEvent]:
        """Tell what was heard, in order."""
        while (event := await self._events.get()) is not None:
            yield event

    async def aclose(self) -> None:
        """Stop all work at once; a decode that is running is left to end in its thread."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- audio in ---------------------------------------------------------------------------------

    async def _take_frame(self, frame: bytes) -> None:
        self._tape.append(frame)
        boundary = self._endpointer.push(self._vad.probability(to_samples(frame)))
        if boundary is Boundary.ONSET:
            utterance = self._begin_utterance()
            if self._options.vad_events:
                await self._events.put(SpeechStarted(at_s=utterance.onset / STT_SAMPLE_RATE_HZ))
        utterance_now = self._utterance
        if utterance_now is None:
            self._forget_silence()
        elif boundary is Boundary.END:
            utterance_now.speech_final = True
            self._close_utterance()
        else:
            if not self._endpointer.silence_run:
                utterance_now.voice_end = self._tape.end
            self._bound_utterance(utterance_now)
        if boundary is not None:
            self._wake.set()

    def _begin_utterance(self) -> _Utterance:
        onset = self._tape.end - max(1, self._endpointer.onset_run) * FRAME_SAMPLES
        start = max(onset - self._samples(self._config.pre_roll_ms), self._cut)
        self._utterance = _Utterance(
            onset=onset, window_start=start, voice_end=self._tape.end, partial_at=onset
        )
        return self._utterance

    def _close_utterance(self) -> None:
        utterance = self._utterance
        if utterance is None:
            return
        window = utterance.window(self._tape.end)
        if utterance.voice_end <= utterance.window_start:
            window = _Window(utterance.window_start, utterance.window_start)  # all is settled
        utterance.audio = self._tape.read(window)
        self._cut = max(self._cut, window.end)
        self._utterance = None
        self._closed.append(utterance)
        if len(self._closed) >= self._limits.max_pending_finals:
            self._room.clear()
        self._wake.set()

    def _bound_utterance(self, utterance: _Utterance) -> None:
        """Force a final when somebody speaks on and on."""
        first = utterance.settled[0][0].start if utterance.settled else utterance.window_start
        if self._tape.end - first < self._samples(self._limits.max_utterance_ms):
            return
        voice_end = utterance.voice_end
        if utterance.settled:
            # Cut at the last pause that was settled rather than in the middle of a word.
            utterance.voice_end = utterance.window_start
        self._close_utterance()
        # Speech goes on: the next utterance takes over without a new onset and without a gap.
        self._utterance = _Utterance(
            onset=self._cut, window_start=self._cut, voice_end=voice_end, partial_at=self._tape.end
        )

    def _forget_silence(self) -> None:
        keep = self._samples(self._config.pre_roll_ms) + 2 * FRAME_SAMPLES
        self._tape.forget_before(self._tape.end - keep)

    @staticmethod
    def _samples(milliseconds: int) -> int:
        return milliseconds * STT_SAMPLE_RATE_HZ // 1000

    # -- results out ------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if self._closed:
                await self._tell_final(self._closed[0])
                self._closed.popleft()
                self._room.set()
            elif self._ended:
                await self._events.put(None)
                return
            elif (window := self._due_window()) is not None and self._utterance is not None:
                await self._tell_partial(self._utterance, window)
            else:
                await self._wait_for_audio()

    async def _wait_for_audio(self) -> None:
        self._wake.clear()
        stalled_s = self._config.stalled_audio_ms / 1000
        try:
            async with asyncio.timeout(stalled_s if self._utterance is not None else None):
                await self._wake.wait()
        except TimeoutError:
            # The client stopped sending in mid-utterance (a muted microphone, a gate of its own).
            self._endpointer.reset()
            self._close_utterance()

    def _due_window(self) -> _Window | None:
        """The window to decode now, if any: at a pause, or when a partial is due."""
        utterance = self._utterance
        if utterance is None or utterance.voice_end <= utterance.window_start:
            return None
        if self._is_paused():
            window = utterance.window(self._tape.end)
            if utterance.latest is None or utterance.latest[0] != window:
                return window
            return None
        # While silence begins, the next decode should be the one of the pause, not a partial.
        due = utterance.partial_at + self._samples(self._config.partial_interval_ms)
        if self._options.interim_results and not self._endpointer.silence_run:
            return (
                _Window(utterance.window_start, self._tape.end) if self._tape.end >= due else None
            )
        return None

    async def _tell_partial(self, utterance: _Utterance, window: _Window) -> None:
        paused = self._is_paused()

        def audio() -> Samples | None:
            nonlocal window
            due = self._due_window()
            if due is None or self._utterance is not utterance or self._is_paused() != paused:
                return None  # while this job waited for its turn, something else became due
            window = due
            return self._tape.read(window)

        decoded = await self._decoder.decode(audio, final=paused, words=self._words and paused)
        if decoded is None:
            return
        utterance.partial_at = window.end
        utterance.latest = (window, decoded)
        if self._utterance is not utterance:
            return  # closed meanwhile: its final comes next
        if paused and window.end - window.start >= self._samples(self._config.settle_window_ms):
            utterance.settled.append(utterance.latest)
            utterance.latest = None
            utterance.window_start = window.end
            self._tape.forget_before(window.end)
        text = utterance.text()
        if text and self._options.interim_results:
            utterance.partial_text = text
            await self._events.put(self._transcript(utterance, text, is_final=False))

    def _is_paused(self) -> bool:
        return self._endpointer.silence_run * _FRAME_MS >= self._config.speculate_after_ms

    async def _tell_final(self, utterance: _Utterance) -> None:
        assert utterance.audio is not None
        samples = utterance.audio
        window = _Window(utterance.window_start, utterance.window_start + len(samples))
        if utterance.latest is None or utterance.latest[0] != window:
            utterance.latest = None
            if utterance.voice_end > utterance.window_start:
                decoded = await self._decoder.decode(lambda: samples, final=True, words=self._words)
                assert decoded is not None  # only a job whose audio is None is dropped
                utterance.latest = (window, decoded)
        # A last look that hears nothing does not unsay what was already told.
        text = utterance.text() or utterance.partial_text
        if text:
            await self._events.put(self._transcript(utterance, text, is_final=True))

    def _transcript(self, utterance: _Utterance, text: str, *, is_final: bool) -> Transcript:
        stretches = list(utterance.settled)
        if utterance.latest is not None:
            stretches.append(utterance.latest)
        words = [
            Word(
                text=word.text,
                start_s=window.start / STT_SAMPLE_RATE_HZ + word.start_s,
                end_s=window.start / STT_SAMPLE_RATE_HZ + word.end_s,
                confidence=word.probability,
            )
            for window, decoded in stretches
            for word in decoded.words
        ]
        return Transcript(
            text=text,
            is_final=is_final,
            speech_final=is_final and utterance.speech_final,
            from_finalize=is_final and utterance.from_finalize,
            start_s=utterance.onset / STT_SAMPLE_RATE_HZ,
            duration_s=(utterance.voice_end - utterance.onset) / STT_SAMPLE_RATE_HZ,
            confidence=stretches[-1][1].confidence if stretches else 0.0,
            words=tuple(words),
        )
