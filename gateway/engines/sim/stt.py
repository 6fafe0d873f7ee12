"""`sim/stt`: the scripted words, timed by the speech that is really in the audio.

A partial at time t holds only the words that had ended by t minus the lag, and the final comes a
set time after the last sound: what a real recogniser can know at best. Speech is found by its
energy, so the clock is the audio's own; audio that arrives late or in a burst (a replay) is caught
up with at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import numpy as np

from gateway.config import STT_SAMPLE_RATE_HZ, SimConfig
from gateway.engines.base import SpeechStarted, SttEvent
from gateway.engines.sim.script import ScriptedUtterance, SimScript
from gateway.speech.pcm import BYTES_PER_SAMPLE, SampleAligner, to_samples
from gateway.wire.aigateway import SttOptions, Transcript, Word

_BLOCK_SAMPLES = STT_SAMPLE_RATE_HZ // 100
"""Resolution of the energy detector: 10 ms."""
_BLOCK_BYTES = _BLOCK_SAMPLES * BYTES_PER_SAMPLE
SPEECH_RMS = 0.006
"""Loudness that counts as speech (-44 dBFS): above codec noise, below quiet speech."""
_EVENT_QUEUE_SIZE = 64
_UNSEEN_S = 0.06
"""Silence at the end of an utterance that need not have arrived yet, as audio comes in frames."""
_STALLED_S = 1.5
"""Time without any audio in mid-utterance after which its final is told."""


class SimStt:
    """`gateway.engines.base.SttEngine` by script."""

    def __init__(self, config: SimConfig, *, script: SimScript) -> None:
        self._config = config
        self._script = script
        self._shared = ScriptPlace(script)

    def open(self, options: SttOptions, *, words: bool) -> SimSttSession:
        """Begin a stream; `words` asks for word times in finals."""
        shared = self._script.cursor == "gateway"
        place = self._shared if shared else ScriptPlace(self._script)
        return SimSttSession(self._config, place=place, options=options, words=words)

    async def transcribe(self, pcm: bytes) -> str:
        """Return the next utterance whatever the recording holds."""
        return self._shared.take().text


class ScriptPlace:
    """A place in the script; an utterance is passed once its final was told."""

    def __init__(self, script: SimScript) -> None:
        self._script = script
        self._next = 0

    def current(self) -> ScriptedUtterance:
        """Return the utterance that is being heard."""
        return self._script.utterances[self._next % len(self._script.utterances)]

    def take(self) -> ScriptedUtterance:
        """Return the utterance that is being heard and go on to the next one."""
        utterance = self.current()
        self._next += 1
        return utterance


class SimSttSession:
    """One stream: `gateway.engines.base.SttSession`."""

    def __init__(
        self, config: SimConfig, *, place: ScriptPlace, options: SttOptions, words: bool
    ) -> None:
        self._config = config
        self._place = place
        self._options = options
        self._words = words
        self._aligner = SampleAligner()
        self._unseen = b""
        self._blocks = 0
        self._clock_s = math.inf
        """Monotonic time of the first sample, by the least delayed block so far."""
        self._arrived_at_s = 0.0  # monotonic time of the newest block
        self._onset_s: float | None = None  # audio time
        self._sound_end_s = 0.0  # audio time
        self._partial_due_s = 0.0  # audio time
        self._ended = False
        self._finalize = False
        self._wake = asyncio.Event()
        self._events: asyncio.Queue[SttEvent | None] = asyncio.Queue(_EVENT_QUEUE_SIZE)
        self._task = asyncio.create_task(self._run(), name="sim-stt")

    @property
    def in_utterance(self) -> bool:
        """Whether speech was heard whose final has not been told."""
        return self._onset_s is not None

    @property
    def audio_s(self) -> float:
        """Length of the audio taken so far."""
        return self._blocks * _BLOCK_SAMPLES / STT_SAMPLE_RATE_HZ

    async def push(self, pcm: bytes) -> None:
        """Take s16le mono 16 kHz."""
        self._unseen += self._aligner.push(pcm)
        cut = len(self._unseen) - len(self._unseen) % _BLOCK_BYTES
        samples = to_samples(self._unseen[:cut]).reshape(-1, _BLOCK_SAMPLES)
        self._unseen = self._unseen[cut:]
        for loudness in np.sqrt(np.mean(samples**2, axis=1)):
            self._blocks += 1
            await self._take_block(is_sound=bool(loudness >= SPEECH_RMS))
        self._arrived_at_s = now = asyncio.get_running_loop().time()
        self._clock_s = min(self._clock_s, now - self.audio_s)
        self._wake.set()

    def finalize(self) -> None:
        """End the open utterance now and tell the words that had ended."""
        self._finalize = self.in_utterance
        self._wake.set()

    def end_input(self) -> None:
        """Finalize; `events` ends after the last final."""
        self.finalize()
        self._ended = True

    async def events(self) -> AsyncIterator[SttEvent]:
        """Tell what was heard, in order."""
        while (event := await self._events.get()) is not None:
            yield event

    async def aclose(self) -> None:
        """Stop all work at once."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _take_block(self, *, is_sound: bool) -> None:
        if self._onset_s is not None and self._silence_s() >= self._config.stt_final_ms / 1000:
            await self._tell_final(speech_final=True)
        if not is_sound:
            return
        self._sound_end_s = self.audio_s
        if self._onset_s is None:
            self._onset_s = self.audio_s - _BLOCK_SAMPLES / STT_SAMPLE_RATE_HZ
            self._partial_due_s = self._onset_s
            if self._options.vad_events:
                await self._events.put(SpeechStarted(at_s=self._onset_s))

    def _silence_s(self) -> float:
        return self.audio_s - self._sound_end_s

    def _final_due_s(self) -> float:
        """Audio time at which to tell the final, unless there is more sound until then."""
        final_s = self._config.stt_final_ms / 1000
        if self._silence_s() >= final_s - _UNSEEN_S:
            return self._sound_end_s + final_s
        # The network may be late with more speech, and bring it in a burst: silence must be heard,
        # not assumed.
        return self._arrived_at_s - self._clock_s + _STALLED_S

    def _now_s(self) -> float:
        """Audio time that is being spoken now, if the sender is in real time."""
        return asyncio.get_running_loop().time() - self._clock_s

    async def _run(self) -> None:
        while True:
            if self._finalize:
                self._finalize = False
                await self._tell_final(speech_final=False)
            if self._ended:
                await self._events.put(None)
                return
            await self._tell_what_is_due()
            await self._sleep_until_due()

    async def _tell_what_is_due(self) -> None:
        if self._onset_s is None:
            return
        now_s = self._now_s()
        if now_s >= self._final_due_s():
            await self._tell_final(speech_final=True)
        elif now_s >= self._partial_due_s:
            interval_s = self._config.stt_partial_interval_ms / 1000
            missed = int((now_s - self._partial_due_s) / interval_s)
            self._partial_due_s += (missed + 1) * interval_s
            await self._tell_partial(self._onset_s, now_s)

    async def _sleep_until_due(self) -> None:
        self._wake.clear()
        delay_s = None
        if self._onset_s is not None:
            due_s = min(self._final_due_s(), self._partial_due_s)
            delay_s = max(0.0, due_s - self._now_s())
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _tell_partial(self, onset_s: float, now_s: float) -> None:
        elapsed_ms = 1000 * (now_s - onset_s) - self._config.stt_partial_lag_ms
        text = self._place.current().text_at(elapsed_ms)
        if text and self._options.interim_results:
            await self._events.put(self._transcript(text, onset_s, is_final=False))

    async def _tell_final(self, *, speech_final: bool) -> None:
        if self._onset_s is None:
            return
        onset_s = self._onset_s
        utterance = self._place.current()
        if speech_final:
            text = utterance.text
        else:
            text = utterance.text_at(1000 * (self.audio_s - onset_s))
        self._onset_s = None
        if not text:
            if not utterance.words:
                self._place.take()  # a noise: it is over, and there is nothing to tell of it
            return
        self._place.take()
        words = [
            Word(text=w.text, start_s=onset_s, end_s=onset_s + w.end_ms / 1000, confidence=1.0)
            for w in utterance.words[: len(text.split())]
        ]
        await self._events.put(
            self._transcript(
                text,
                onset_s,
                is_final=True,
                speech_final=speech_final,
                words=tuple(words) if self._words else (),
            )
        )

    def _transcript(
        self,
        text: str,
        onset_s: float,
        *,
        is_final: bool,
        speech_final: bool = False,
        words: tuple[Word, ...] = (),
    ) -> Transcript:
        return Transcript(
            text=text,
            is_final=is_final,
            speech_final=speech_final,
            from_finalize=is_final and not speech_final,
            start_s=onset_s,
            duration_s=self._sound_end_s - onset_s,
            confidence=1.0,
            words=words,
        )
