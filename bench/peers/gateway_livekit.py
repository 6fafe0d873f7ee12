"""The gateway's voice for livekit-agents, as a plugin for it would be written.

It follows LiveKit's own Deepgram and Cartesia plugins: one pooled WebSocket that is opened ahead,
text cut by blingfire into sentences. Speech to text needs no adapter: the gateway in its extended
form speaks Deepgram's, so the stock plugin does it. Nor does the language model: `openai.LLM`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Never

import aiohttp
from livekit.agents import APIConnectionError, APIConnectOptions, tokenize, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

_RATE = 24_000
_POOL_S = 300.0
"""LiveKit's Cartesia plugin keeps a connection for as long."""


class GatewayTTS(tts.TTS[Never]):
    """Text to speech over the gateway's WebSocket.

    Args:
        url: The socket, with its query.
        tokenizer: Cuts the reply into what is sent; blingfire with its defaults unless given.
    """

    def __init__(self, *, url: str, tokenizer: tokenize.SentenceTokenizer | None = None) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=_RATE, num_channels=1
        )
        self._url = url
        self.tokenizer = tokenizer or tokenize.blingfire.SentenceTokenizer()
        self.pool = utils.ConnectionPool[aiohttp.ClientWebSocketResponse](
            connect_cb=self._open, close_cb=_close, max_session_duration=_POOL_S
        )

    def prewarm(self) -> None:
        """Open the first connection ahead."""
        self.pool.prewarm()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speak one text."""
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> _Stream:
        """Speak a text that is still being written."""
        return _Stream(tts=self, conn_options=conn_options)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.pool.aclose()

    async def _open(self, timeout_s: float) -> aiohttp.ClientWebSocketResponse:
        session = utils.http_context.http_session()
        return await asyncio.wait_for(session.ws_connect(self._url), timeout_s)


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.close()


class _Stream(tts.SynthesizeStream):
    def __init__(self, *, tts: GatewayTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._voice = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=_RATE,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        sentences = self._voice.tokenizer.stream()
        reading = asyncio.create_task(self._read(sentences))
        try:
            timeout_s = self._conn_options.timeout
            async with self._voice.pool.connection(timeout=timeout_s) as socket:
                await self._speak(sentences, socket, output_emitter)
        except aiohttp.ClientError as e:
            raise APIConnectionError() from e
        finally:
            await utils.aio.gracefully_cancel(reading)
        output_emitter.end_segment()

    async def _read(self, sentences: tokenize.SentenceStream) -> None:
        async for text in self._input_ch:
            if isinstance(text, self._FlushSentinel):
                sentences.flush()
            else:
                sentences.push_text(text)
        sentences.end_input()

    async def _speak(
        self,
        sentences: tokenize.SentenceStream,
        socket: aiohttp.ClientWebSocketResponse,
        emitter: tts.AudioEmitter,
    ) -> None:
        """Send sentences as they come; the server marks the end of each one's audio."""
        owed = asyncio.Semaphore(0)

        async def send() -> None:
            async for sentence in sentences:
                self._mark_started()
                await socket.send_str(json.dumps({"text": sentence.token}))
                owed.release()

        sending = asyncio.create_task(send())
        try:
            while await _one_more(owed, sending):
                await self._receive(socket, emitter)
        finally:
            await utils.aio.gracefully_cancel(sending)

    async def _receive(
        self, socket: aiohttp.ClientWebSocketResponse, emitter: tts.AudioEmitter
    ) -> None:
        while True:
            message = await socket.receive(timeout=self._conn_options.timeout)
            if message.type is aiohttp.WSMsgType.BINARY:
                emitter.push(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                return  # {"type": "done"}
            else:
                raise APIConnectionError("the gateway closed the socket")


async def _one_more(owed: asyncio.Semaphore, sending: asyncio.Task[Any]) -> bool:
    """Whether audio of one more sentence will come; waits until that is known."""
    waiting = asyncio.create_task(owed.acquire())
    await asyncio.wait((waiting, sending), return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        sending.result()
        if owed.locked():
            waiting.cancel()
            return False
    await waiting
    return True
