"""The blocking speech engines behind the interfaces that the stages use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from gateway.config import TTS_SAMPLE_RATE_HZ, Limits, SttConfig, TtsConfig
from gateway.engines.piper import PiperEngine
from gateway.engines.whisper import WhisperEngine
from gateway.speech.decode_queue import DecodeQueue
from gateway.speech.pcm import BYTES_PER_SAMPLE
from gateway.speech.recognizer import StreamRecognizer
from gateway.wire.aigateway import SttOptions


class WhisperStt:
    """Streams over one Whisper model: `gateway.engines.base.SttEngine`."""

    def __init__(self, engine: WhisperEngine, *, config: SttConfig, limits: Limits) -> None:
        self._engine = engine
        self._config = config
        self._limits = limits
        self._queue = DecodeQueue(engine.decode)

    def open(self, options: SttOptions, *, words: bool) -> StreamRecognizer:
        """Begin a stream; `words` asks for word times in finals."""
        return StreamRecognizer(
            decoder=self._queue,
            vad=self._engine.vad.stream(),
            options=options,
            config=self._config,
            limits=self._limits,
            words=words,
        )

    async def transcribe(self, pcm: bytes) -> str:
        """Recognise a whole recording (s16le mono 16 kHz), between the decodes of live streams."""
        return await self._queue.run(lambda: self._engine.transcribe(pcm))

    def close(self) -> None:
        """Let the decoding thread end."""
        self._queue.close()


class PiperTts:
    """Sockets over one Piper voice: `gateway.engines.base.TtsEngine`."""

    def __init__(self, engine: PiperEngine, *, config: TtsConfig) -> None:
        self._engine = engine
        self._config = config
        # One thread: a second synthesis would take the core that the recogniser lives on.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="synthesis")

    async def connect(self, voice: str) -> PiperSession:
        """Begin a socket. The model names the voice, so `voice` is not looked at."""
        return PiperSession(
            self._engine, thread=self._thread, max_lead_s=self._config.max_lead_ms / 1000
        )

    def close(self) -> None:
        """Let the synthesising thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class PiperSession:
    """One socket's voice; it never runs further ahead of playback than it is allowed to."""

    def __init__(
        self, engine: PiperEngine, *, thread: ThreadPoolExecutor, max_lead_s: float
    ) -> None:
        self._engine = engine
        self._thread = thread
        self._max_lead_s = max_lead_s
        self._played_until_s = 0.0
        """Monotonic time at which all audio sent so far will have been played."""

    async def speak(self, text: str, *, received_at_s: float) -> AsyncIterator[bytes]:
        """Return the audio of one text as it is made, s16le mono 24 kHz."""
        loop = asyncio.get_running_loop()
        pieces: Iterator[bytes] = self._engine.synthesize(text)
        while (piece := await loop.run_in_executor(self._thread, next, pieces, None)) is not None:
            yield piece
            length_s = len(piece) / (BYTES_PER_SAMPLE * TTS_SAMPLE_RATE_HZ)
            self._played_until_s = max(self._played_until_s, loop.time()) + length_s
            lead_s = self._played_until_s - loop.time()
            if lead_s > self._max_lead_s:
                await asyncio.sleep(lead_s - self._max_lead_s)
