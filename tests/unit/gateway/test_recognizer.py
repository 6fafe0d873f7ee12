"""The streaming recogniser with a detector and a decoder whose results are known.

Audio here is not sound: each frame's first sample is its probability of speech, each decode tells
which frames it was given. Time is counted in frames (32 ms).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np

from gateway.config import Limits, SttConfig
from gateway.engines.base import SpeechStarted, SttEvent
from gateway.speech.decode_queue import Decoded, DecodeQueue
from gateway.speech.pcm import to_pcm
from gateway.speech.recognizer import StreamRecognizer
from gateway.speech.vad import FRAME_SAMPLES, Samples
from gateway.wire.aigateway import SttOptions, Transcript


class FirstSample:
    def probability(self, frame: Samples) -> float:
        return float(frame[0])


def _pcm(*runs: tuple[int, float]) -> bytes:
    """Frames in runs of (count, probability); the second sample numbers the frame."""
    frames: list[Samples] = []
    for count, probability in runs:
        for _ in range(count):
            frame = np.zeros(FRAME_SAMPLES, np.float32)
            frame[0] = probability
            frame[1] = 0.001 * (len(frames) + 1)
            frames.append(frame)
    return to_pcm(np.concatenate(frames))


def _numbers(samples: Samples) -> list[int]:
    """The numbers of the frames of speech in a stretch of audio."""
    marks = np.flatnonzero(samples >= 0.5)
    return [round(samples[mark + 1] * 1000) - 1 for mark in marks]


class Decoder:
    def __init__(self) -> None:
        self.finals = 0
        self.partials = 0
        self.lengths: list[int] = []
        self.answer: Callable[[list[int]], str] = lambda frames: (
            f"{frames[0]}-{frames[-1]}" if frames else ""
        )

    def __call__(self, samples: Samples, *, final: bool, words: bool) -> Decoded:
        if final:
            self.finals += 1
        else:
            self.partials += 1
        self.lengths.append(len(samples) // FRAME_SAMPLES)
        return Decoded(text=self.answer(_numbers(samples)))


class Stream:
    def __init__(self, recognizer: StreamRecognizer, decoder: Decoder) -> None:
        self.recognizer = recognizer
        self.decoder = decoder
        self.told: list[SttEvent] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.recognizer.events():
            self.told.append(event)

    async def push(self, *runs: tuple[int, float]) -> None:
        """Send in real-time order: everything due after each frame is decoded before the next."""
        pcm = _pcm(*runs)
        size = FRAME_SAMPLES * 2
        for start in range(0, len(pcm), size):
            await self.recognizer.push(pcm[start : start + size])
            await self.settle()

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        self.recognizer.end_input()
        await asyncio.wait_for(self._reader, 5)

    @property
    def finals(self) -> list[str]:
        return [e.text for e in self.told if isinstance(e, Transcript) and e.is_final]

    @property
    def partials(self) -> list[str]:
        return [e.text for e in self.told if isinstance(e, Transcript) and not e.is_final]


@asynccontextmanager
async def _stream(
    *,
    options: SttOptions | None = None,
    config: SttConfig | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Stream]:
    decoder = Decoder()
    queue = DecodeQueue(decoder)
    recognizer = StreamRecognizer(
        decoder=queue,
        vad=FirstSample(),
        options=options or SttOptions(model="m"),
        config=config or SttConfig(),
        limits=limits or Limits(),
        words=False,
    )
    stream = Stream(recognizer, decoder)
    try:
        yield stream
    finally:
        await recognizer.aclose()
        stream._reader.cancel()
        queue.close()


async def test_partials_then_one_final() -> None:
    async with _stream() as stream:
        await stream.push((5, 0), (40, 0.9), (15, 0))
        assert stream.finals == ["5-44"]
        assert len(stream.partials) >= 3
        assert all(text.startswith("5-") for text in stream.partials)
        assert not stream.recognizer.in_utterance


async def test_the_final_is_decoded_once_and_in_advance() -> None:
    async with _stream() as stream:
        await stream.push((5, 0), (10, 0.9), (9, 0))
        assert stream.finals == []
        assert stream.decoder.finals == 1
        await stream.push((1, 0))
        assert stream.finals == ["5-14"]
        assert stream.decoder.finals == 1


async def test_speech_after_a_pause_belongs_to_the_same_utterance() -> None:
    async with _stream() as stream:
        await stream.push((5, 0), (10, 0.9), (6, 0), (10, 0.9), (12, 0))
        assert stream.finals == ["5-30"]


async def test_pre_roll_keeps_what_came_before_the_onset() -> None:
    async with _stream() as stream:
        await stream.push((50, 0), (10, 0.9), (12, 0))
        # 300 ms before the onset, the speech, and 100 ms after it, in frames of 32 ms
        assert stream.decoder.lengths[-1] == (300 + 320 + 100) // 32


async def test_silence_tells_nothing() -> None:
    async with _stream() as stream:
        await stream.push((100, 0))
        await stream.end()
        assert stream.told == []
        assert stream.decoder.lengths == []


async def test_finalize_tells_what_is_buffered_now() -> None:
    async with _stream() as stream:
        await stream.push((5, 0), (10, 0.9))
        stream.recognizer.finalize()
        await stream.settle()
        assert stream.finals == ["5-14"]
        final = stream.told[-1]
        assert isinstance(final, Transcript)
        assert final.from_finalize
        assert not final.speech_final
        await stream.push((10, 0.9), (12, 0))
        assert len(stream.finals) == 2
        assert stream.decoder.lengths[-1] <= 10 + 100 // 32 + 1  # nothing is heard twice


async def test_finalize_without_speech_tells_nothing() -> None:
    async with _stream() as stream:
        await stream.push((10, 0))
        stream.recognizer.finalize()
        await stream.settle()
        assert stream.told == []


async def test_finalize_in_the_first_frame_of_a_word() -> None:
    async with _stream() as stream:
        await stream.push((10, 0), (1, 0.9))
        stream.recognizer.finalize()
        await stream.settle()
        assert stream.finals == ["10-10"]


async def test_end_of_input_tells_the_last_final() -> None:
    async with _stream() as stream:
        await stream.push((5, 0), (10, 0.9))
        await stream.end()
        assert stream.finals == ["5-14"]


async def test_long_utterances_are_decoded_in_windows() -> None:
    async with _stream() as stream:
        spoken = [(60, 0.9), (6, 0)] * 6
        await stream.push((5, 0), *spoken, (12, 0))
        assert len(stream.finals) == 1
        assert stream.finals[0].startswith("5-")
        assert stream.finals[0].endswith("-394")
        # each window is older than 6 s at its pause, none grows with the utterance
        assert max(stream.decoder.lengths) < 2 * 6_000 // 32
        assert len(stream.finals[0].split()) == 2


async def test_endless_speech_forces_finals_without_gap_or_overlap() -> None:
    limits = Limits(max_utterance_ms=3_200)
    async with _stream(limits=limits) as stream:
        await stream.push((5, 0), (250, 0.9), (12, 0))
        spans = [tuple(map(int, text.split("-"))) for text in stream.finals]
        assert len(spans) == 3
        assert spans[0][0] == 5
        assert spans[-1][1] == 254
        assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(spans))


async def test_endless_speech_is_cut_at_a_settled_pause() -> None:
    limits = Limits(max_utterance_ms=3_200)
    config = SttConfig(settle_window_ms=640)
    async with _stream(limits=limits, config=config) as stream:
        await stream.push((5, 0), (60, 0.9), (6, 0), (60, 0.9), (12, 0))
        assert stream.finals == ["5-64", "71-130"]


async def test_endpointing_can_be_switched_off() -> None:
    async with _stream(options=SttOptions(model="m", endpointing_ms=0)) as stream:
        await stream.push((5, 0), (10, 0.9), (40, 0), (10, 0.9), (40, 0))
        assert stream.finals == []
        await stream.end()
        assert stream.finals == ["5-64"]


async def test_partials_can_be_switched_off() -> None:
    async with _stream(options=SttOptions(model="m", interim_results=False)) as stream:
        await stream.push((5, 0), (40, 0.9), (12, 0))
        assert stream.partials == []
        assert stream.finals == ["5-44"]


async def test_speech_started_when_asked_for() -> None:
    async with _stream(options=SttOptions(model="m", vad_events=True)) as stream:
        await stream.push((5, 0), (10, 0.9))
        assert stream.told[0] == SpeechStarted(at_s=5 * FRAME_SAMPLES / 16_000)


async def test_a_stall_in_mid_utterance_tells_the_final() -> None:
    async with _stream(config=SttConfig(stalled_audio_ms=20)) as stream:
        await stream.push((5, 0), (10, 0.9))
        await asyncio.sleep(0.1)
        assert stream.finals == ["5-14"]


async def test_what_was_told_is_not_unsaid() -> None:
    async with _stream() as stream:
        stream.decoder.answer = lambda frames: "hello" if len(frames) < 20 else ""
        await stream.push((5, 0), (40, 0.9), (12, 0))
        assert stream.finals == ["hello"]


async def test_noise_that_is_no_speech_tells_nothing() -> None:
    async with _stream() as stream:
        stream.decoder.answer = lambda frames: ""
        await stream.push((5, 0), (40, 0.9), (12, 0))
        assert stream.told == []


async def test_times_are_those_of_the_speech() -> None:
    async with _stream() as stream:
        await stream.push((20, 0), (10, 0.9), (12, 0))
        final = stream.told[-1]
        assert isinstance(final, Transcript)
        assert final.start_s == 20 * FRAME_SAMPLES / 16_000
        assert final.duration_s == 10 * FRAME_SAMPLES / 16_000
        assert final.speech_final


async def test_odd_bytes_and_frames_of_any_size() -> None:
    async with _stream() as stream:
        pcm = _pcm((5, 0), (40, 0.9), (12, 0))
        for start in range(0, len(pcm), 333):
            await stream.recognizer.push(pcm[start : start + 333])
            await stream.settle()
        await stream.end()
        assert stream.finals == ["5-44"]


async def test_a_client_that_is_not_read_from_is_not_read_from() -> None:
    """Pending finals stop the intake of audio, so that memory is bounded."""
    limits = Limits(max_pending_finals=2)
    decoder = Decoder()
    queue = DecodeQueue(decoder)
    recognizer = StreamRecognizer(
        decoder=queue,
        vad=FirstSample(),
        options=SttOptions(model="m", interim_results=False),
        config=SttConfig(),
        limits=limits,
        words=False,
    )
    spoken = _pcm(*[(3, 0.9), (12, 0)] * 200)
    pushing = asyncio.create_task(recognizer.push(spoken))
    await asyncio.wait((pushing,), timeout=0.5)
    assert not pushing.done()
    assert recognizer.audio_s < 150 * 15 * 0.032
    pushing.cancel()
    await recognizer.aclose()
    queue.close()
