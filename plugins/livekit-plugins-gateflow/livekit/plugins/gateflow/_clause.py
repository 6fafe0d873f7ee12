"""One clause on its way: a request of its own, fetched while the one before is still heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import aiohttp
from livekit.agents.utils.codecs import AudioStreamDecoder
from livekit.plugins.gatewaykit.errors import NoAudioError, ProtocolError
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.url import http_url

from ._account import SPEECH_PATH
from ._codec.audio import BYTES_PER_SAMPLE, WholeSamples
from ._http import Answer, Patience, Post
from ._limits import TTSTimeouts
from .models import AudioFormats

_PCM_TYPES = ("audio/pcm", "audio/l16", "audio/raw", "audio/x-raw", "application/octet-stream")
_MP3_TYPES = ("audio/mpeg", "audio/mp3", "audio/x-mp3")


@dataclass(frozen=True, kw_only=True)
class SpeechOptions:
    """Everything that shapes a synthesis request."""

    model: str
    voice: str
    response_format: AudioFormats
    sample_rate: int
    base_url: str
    keys: KeyRing
    timeouts: TTSTimeouts
    limits: Limits

    def seconds(self, pcm: bytes) -> float:
        """How long audio lasts."""
        return len(pcm) / (BYTES_PER_SAMPLE * self.sample_rate)


class Clause:
    """The audio of one clause, received from now on.

    Args:
        text: What to say.
        options: How.
        session: Where connections come from.
        faults: Notes the refusals that another key heals; what is raised is told by who asks.
        connect_s: Longest wait for a connection.
    """

    def __init__(
        self,
        text: str,
        *,
        options: SpeechOptions,
        session: aiohttp.ClientSession,
        faults: FaultLog,
        connect_s: float,
    ) -> None:
        self.text = text
        self._faults = faults
        self._options = options
        self._session = session
        self._connect_s = connect_s
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(
            options.limits.receive_queue_messages
        )
        self.heard_s = 0.0
        """Audio given out so far."""
        self._task = asyncio.create_task(self._receive(), name="gateflow.tts.clause")

    async def audio(self) -> AsyncGenerator[bytes]:
        """Whole samples of PCM, as they come.

        Raises:
            APIError: The request failed; what came before has been given out.
        """
        while (piece := await self._pieces.get()) is not None:
            self.heard_s += self._options.seconds(piece)
            yield piece
        await self._task

    async def aclose(self) -> None:
        """Let go of the request."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _receive(self) -> None:
        try:
            got_any = False
            async with self._post() as answer, aclosing(self._pcm(answer)) as pcm:
                async for piece in pcm:
                    got_any = True
                    answer.patience.on_audio(self._options.seconds(piece))
                    await self._pieces.put(piece)
            if not got_any:
                raise NoAudioError()
        finally:
            await self._pieces.put(None)

    def _post(self) -> Post:
        options = self._options
        return Post(
            self._session,
            http_url(options.base_url, SPEECH_PATH),
            what="speech",
            keys=options.keys,
            faults=self._faults,
            connect_s=self._connect_s,
            patience=Patience(
                first_s=options.timeouts.first_audio_s, between_s=options.timeouts.inter_chunk_s
            ),
            total_s=options.timeouts.total_s,
            body=self._body,
        )

    def _body(self) -> dict[str, Any]:
        options = self._options
        return {
            "json": {
                "model": options.model,
                "input": self.text,
                "voice": options.voice,
                "stream": True,
                "response_format": options.response_format,
            }
        }

    def _pcm(self, answer: Answer) -> AsyncGenerator[bytes]:
        kind = answer.content_type
        if kind in _MP3_TYPES:
            return _decoded(answer, sample_rate=self._options.sample_rate)
        if kind in _PCM_TYPES or (kind == "" and self._options.response_format == "pcm"):
            return _whole_samples(answer)
        raise ProtocolError("the answer is neither PCM nor MP3", retryable=False)


async def _whole_samples(answer: Answer) -> AsyncGenerator[bytes]:
    samples = WholeSamples()
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            if whole := samples.push(chunk):
                yield whole


async def _decoded(answer: Answer, *, sample_rate: int) -> AsyncGenerator[bytes]:
    """MP3 through the framework's decoder; what was cut short is heard before its error comes."""
    decoder = AudioStreamDecoder(sample_rate=sample_rate, num_channels=1, format="audio/mpeg")
    feeding = asyncio.create_task(_feed(answer, decoder), name="gateflow.tts.mp3")
    try:
        async for frame in decoder:
            yield bytes(frame.data)
        await feeding
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await decoder.aclose()


async def _feed(answer: Answer, decoder: AudioStreamDecoder) -> None:
    try:
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                # a decoder takes in more than it gives out at first: any byte is progress
                answer.patience.on_piece()
                decoder.push(chunk)
    finally:
        decoder.end_input()
