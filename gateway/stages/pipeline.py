"""GateFlow's whole pipeline: one recording in, or a socket of audio; words and speech out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import WSMsgType, web

from gateway.engines.base import SpeechStarted, SttSession
from gateway.errors import ProtocolError
from gateway.speech.formats import intake
from gateway.stages.answer import AnswerEvent, Audio, Conversation, Sentence, TextEnd, Token
from gateway.stages.body import counted, send_all
from gateway.stages.context import CONTEXT, Context, first_done, open_socket, read_body
from gateway.stages.outlet import Outgoing
from gateway.stages.socket import SocketStage
from gateway.stages.upload import LINES, read_recording, recognise
from gateway.stats import Call
from gateway.wire import gateflow
from gateway.wire.aigateway import SttOptions, Transcript

logger = logging.getLogger("gateway.realtime")


def _line(event: AnswerEvent) -> str | None:
    match event:
        case Token(text):
            return gateflow.encode_token(text)
        case TextEnd():
            return gateflow.encode_llm_done()
        case Audio(pcm):
            return gateflow.encode_chunk(pcm)
    return None


async def _lines(
    request: gateflow.PipelineRequest, context: Context, conversation: Conversation, pcm: bytes
) -> AsyncGenerator[Outgoing]:
    model = request.options.stt or context.config.template["stt"]
    engine = await context.engines.stt(model)
    heard = ""
    async with aclosing(recognise(engine, model, pcm)) as saying:
        async for said in saying:
            heard = said.text
            line = gateflow.encode_heard(heard, is_final=said.is_final)
            yield Outgoing(data=line, is_final=said.is_final)
    words = 0
    if heard:
        async with aclosing(conversation.answer(heard)) as answer:
            async for event in answer:
                words += len(event.text.split()) if isinstance(event, Sentence) else 0
                if (told := _line(event)) is not None:
                    yield Outgoing(data=told, words=words)
    yield Outgoing(data=gateflow.encode_done(), words=words)


async def audio_pipeline(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/audio/pipelines`; it is counted as `realtime`."""
    context = request.app[CONTEXT]
    limits = context.config.limits
    with context.stats.call("realtime") as call, counted(call):
        body = await read_body(request, max_bytes=limits.max_upload_bytes)
        asked = gateflow.decode_pipeline(body, limits=limits)
        pcm = await read_recording(asked.recording, limits)
        conversation = await Conversation.open(context, asked.options)
        events = _lines(asked, context, conversation, pcm)
        return await send_all(request, web.StreamResponse(headers=LINES), events, call)


class RealtimeSocket(SocketStage):
    """A conversation on a socket: the caller's audio in, the assistant's out.

    A caller who begins to speak ends the answer that is being given.
    """

    failure = "the pipeline failed"

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, *, context: Context
    ) -> None:
        super().__init__(request, socket, context=context)
        self._intake = intake(gateflow.REALTIME_AUDIO)
        self._extended = context.config.extended
        self._session: SttSession | None = None
        self._conversation: Conversation | None = None
        self._answering: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._words = 0

    async def _serve(self, call: Call) -> None:
        await first_done(
            asyncio.create_task(self._receive(call), name="realtime-receive"),
            asyncio.create_task(self._listen(), name="realtime-listen"),
        )

    async def _release(self) -> None:
        await self._stop_answering()
        if self._session is not None:
            await self._session.aclose()

    @property
    def _owed(self) -> bool:
        return self._answering is not None and not self._answering.done()

    def _encode_error(self, message: str, *, code: str) -> str | None:
        return gateflow.encode_error(message, recoverable=code == "engine_error")

    async def _receive(self, call: Call) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                raise ProtocolError("this socket takes JSON text only")
            said = gateflow.decode_realtime(message.data, limits=self._limits)
            if isinstance(said, gateflow.PipelineOptions):
                await self._configure(said)
            elif isinstance(said, bytes):
                await self._hear(said)
        call.outcome = self._left_by_client()

    async def _configure(self, options: gateflow.PipelineOptions) -> None:
        if self._session is not None:
            raise ProtocolError("the configuration cannot be changed")
        model = options.stt or self._context.config.template["stt"]
        engine = await self._context.engines.stt(model)
        self._conversation = await Conversation.open(self._context, options)
        wanted = SttOptions(model=model, endpointing_ms=options.silence_ms)
        self._session = engine.open(wanted, words=False)
        self._ready.set_result(None)

    async def _hear(self, data: bytes) -> None:
        if self._session is None:
            raise ProtocolError("the first message must be the configuration")
        await self._session.push(self._intake.push(data))
        await self._outlet.note_received(len(data))

    async def _listen(self) -> None:
        await self._ready
        assert self._session is not None
        async for event in self._session.events():
            if isinstance(event, SpeechStarted) or not event.is_final:
                await self._stop_answering()  # the caller speaks: nobody listens to us
            if not isinstance(event, SpeechStarted):
                await self._take_words(event)

    async def _take_words(self, said: Transcript) -> None:
        if self._extended:
            await self._tell(gateflow.encode_heard(said.text, is_final=said.is_final))
        if said.is_final and said.text:
            await self._stop_answering()
            self._answering = asyncio.create_task(self._answer(said.text), name="realtime-answer")

    async def _answer(self, heard: str) -> None:
        assert self._conversation is not None
        try:
            async with aclosing(self._conversation.answer(heard)) as answer:
                async for event in answer:
                    await self._tell_event(event)
            if self._extended:
                await self._tell(gateflow.encode_done(), words=self._words)
        except ConnectionError:
            return  # the receiving side notices by itself
        except Exception:
            logger.exception("an answer failed")
            await self._tell(gateflow.encode_error(self.failure, recoverable=True))

    async def _tell_event(self, event: AnswerEvent) -> None:
        if isinstance(event, Sentence):
            self._words += len(event.text.split())
            await self._tell(gateflow.encode_said(event.text), words=self._words)
        elif isinstance(event, Audio):
            await self._tell(gateflow.encode_audio(event.pcm), words=self._words)

    async def _stop_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)
            self._answering = None


async def audio_realtime(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/realtime`."""
    context = request.app[CONTEXT]
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_audio_frame_bytes
    )
    with context.stats.call("realtime") as call, context.tracked(socket):
        await RealtimeSocket(request, socket, context=context).run(call)
    return socket
