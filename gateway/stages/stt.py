"""Speech to text on sockets: audio in, transcripts out, in several dialects."""

from __future__ import annotations

import asyncio
import uuid

from aiohttp import WSMsgType, web

from gateway.engines.base import SpeechStarted, SttSession
from gateway.speech.formats import AudioFormat, intake
from gateway.stages.context import CONTEXT, NORMAL_CLOSURE, Context, first_done, open_socket
from gateway.stages.outlet import Outgoing
from gateway.stages.socket import SocketStage
from gateway.stats import Call, Outcome
from gateway.wire.aigateway import SttControl, SttOptions, Transcript, decode_stt_query
from gateway.wire.aigateway_sockets import AigatewayStt
from gateway.wire.deepgram import DeepgramStt, decode_listen_query
from gateway.wire.dialects import SttDialect
from gateway.wire.livekit_inference import InferenceStt


class SttStream(SocketStage):
    """One socket: audio in, transcripts out."""

    failure = "the recogniser failed"

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        session: SttSession,
        *,
        dialect: SttDialect,
        context: Context,
    ) -> None:
        super().__init__(request, socket, context=context)
        self._session = session
        self._dialect = dialect
        self._intake = intake(dialect.audio)
        self._final_words = 0

    async def _serve(self, call: Call) -> None:
        await first_done(
            asyncio.create_task(self._receive(call), name="stt-receive"),
            asyncio.create_task(self._send(call), name="stt-send"),
        )

    async def _release(self) -> None:
        await self._session.aclose()

    @property
    def _owed(self) -> bool:
        return self._session.in_utterance

    def _encode_error(self, message: str, *, code: str) -> str | None:
        return self._dialect.error(message, code=code)

    async def _receive(self, call: Call) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY or message.type is WSMsgType.TEXT:
                await self._take(message.data)
        call.outcome = self._left_by_client()

    async def _take(self, message: str | bytes) -> None:
        said = self._dialect.read(message)
        if isinstance(said, bytes):
            await self._session.push(self._intake.push(said))
            await self._outlet.note_received(len(said))
        elif isinstance(said, AudioFormat):
            self._intake = intake(said)
            await self._tell(self._dialect.greeting())
        elif said is SttControl.FINALIZE:
            self._session.finalize()
        elif said is SttControl.CLOSE_STREAM:
            self._session.end_input()

    async def _send(self, call: Call) -> None:
        async for event in self._session.events():
            if isinstance(event, SpeechStarted):
                await self._tell(self._dialect.speech_started(event.at_s))
            else:
                await self._tell_transcript(event)
        await self._tell(self._dialect.farewell(self._session.audio_s))
        call.outcome = Outcome.COMPLETED
        await self._socket.close(code=NORMAL_CLOSURE)

    async def _tell_transcript(self, transcript: Transcript) -> None:
        words = self._final_words + len(transcript.text.split())
        if transcript.is_final:
            self._final_words = words
        text = self._dialect.transcript(transcript)
        await self._outlet.send(Outgoing(data=text, words=words, is_final=transcript.is_final))


async def _serve(
    request: web.Request, options: SttOptions, dialect: SttDialect
) -> web.StreamResponse:
    context = request.app[CONTEXT]
    engine = await context.engines.stt(options.model)
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_audio_frame_bytes
    )
    with context.stats.call("stt") as call, context.tracked(socket):
        session = engine.open(options, words=dialect.words)
        await SttStream(request, socket, session, dialect=dialect, context=context).run(call)
    return socket


async def stt_stream(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/transcriptions/stream` (AIgateway)."""
    config = request.app[CONTEXT].config
    options = decode_stt_query(request.query)
    dialect = AigatewayStt(
        limits=config.limits,
        extended=config.extended,
        request_id=str(uuid.uuid4()),
        audio=options.audio,
    )
    return await _serve(request, options, dialect)


async def deepgram_listen(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/listen` (Deepgram)."""
    limits = request.app[CONTEXT].config.limits
    options = decode_listen_query(request.query)
    dialect = DeepgramStt(limits=limits, request_id=str(uuid.uuid4()), audio=options.audio)
    return await _serve(request, options, dialect)


async def inference_stt(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/stt` (LiveKit Inference)."""
    limits = request.app[CONTEXT].config.limits
    options = SttOptions(model=request.query.get("model", "auto"), vad_events=True)
    dialect = InferenceStt(limits=limits, request_id=str(uuid.uuid4()))
    return await _serve(request, options, dialect)
