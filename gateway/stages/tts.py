"""Text to speech on sockets: text in, audio out, in several dialects."""

from __future__ import annotations

import asyncio
import uuid

from aiohttp import WSMsgType, web

from gateway.engines.base import TtsEngine, TtsSession
from gateway.errors import ProtocolError
from gateway.speech.formats import delivery
from gateway.stages.context import CONTEXT, NORMAL_CLOSURE, Context, first_done, open_socket
from gateway.stages.socket import SocketStage
from gateway.stats import Call, Outcome
from gateway.wire.aigateway import decode_tts_query
from gateway.wire.aigateway_sockets import AigatewayTts
from gateway.wire.deepgram import DeepgramTts, decode_speak_query
from gateway.wire.dialects import Clear, Hangup, Mark, Release, Say, TtsCommand, TtsDialect
from gateway.wire.elevenlabs import ElevenLabsTts, decode_output_format
from gateway.wire.livekit_inference import InferenceTts


class _Speaker:
    """What is being said in one context: commands in, done one after the other."""

    def __init__(self, stream: TtsStream, context: str, session: TtsSession | None) -> None:
        self._stream = stream
        self._context = context
        self._session = session
        self._queue: asyncio.Queue[tuple[TtsCommand, float]] = asyncio.Queue(stream.max_queued)
        self.task = asyncio.create_task(self._run(), name="tts-speak")

    async def put(self, command: TtsCommand) -> None:
        """Add a command; waits while there are too many."""
        await self._queue.put((command, asyncio.get_running_loop().time()))

    async def _run(self) -> None:
        while True:
            command, received_at_s = await self._queue.get()
            if isinstance(command, Say):
                await self._say(command.text, received_at_s)
            await self._stream.done(command)
            if isinstance(command, Release | Hangup):
                return

    async def _say(self, text: str, received_at_s: float) -> None:
        words = self._stream.count_words(text)
        if not text.strip():
            return
        if self._session is None:
            self._session = await self._stream.new_session()
        written = delivery(self._stream.dialect.format)
        async for piece in self._session.speak(text, received_at_s=received_at_s):
            await self._stream.send_audio(written.push(piece), self._context, words)
        await self._stream.send_audio(written.flush(), self._context, words)


class TtsStream(SocketStage):
    """One socket: texts in, audio out."""

    failure = "the voice failed"

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        session: TtsSession,
        *,
        engine: TtsEngine,
        voice: str,
        dialect: TtsDialect,
        context: Context,
    ) -> None:
        super().__init__(request, socket, context=context)
        self.dialect = dialect
        self.max_queued = self._limits.max_queued_texts
        self._engine = engine
        self._voice = voice
        self._first_session: TtsSession | None = session
        self._words = 0
        self._speakers: dict[str, _Speaker] = {}
        self._undone = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def _serve(self, call: Call) -> None:
        await first_done(
            asyncio.create_task(self._receive(call), name="tts-receive"),
            asyncio.create_task(self._wait_for_end(call), name="tts-end"),
        )

    async def _wait_for_end(self, call: Call) -> None:
        await self._ended
        call.outcome = Outcome.COMPLETED
        await self._socket.close(code=NORMAL_CLOSURE)

    async def _release(self) -> None:
        tasks = [speaker.task for speaker in self._speakers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _owed(self) -> bool:
        return self._undone > 0

    def _encode_error(self, message: str, *, code: str) -> str | None:
        return self.dialect.error(message, code=code)

    async def _receive(self, call: Call) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.ERROR:
                break
            if message.type is not WSMsgType.TEXT:
                raise ProtocolError("this socket takes JSON text only")
            for command in self.dialect.read(message.data):
                await self._take(command)
        call.outcome = self._left_by_client()

    async def _take(self, command: TtsCommand) -> None:
        if isinstance(command, Clear):
            await self._clear(command)
            return
        speaker = self._speakers.get(command.context)
        if speaker is None and len(self._speakers) >= self._limits.max_tts_contexts:
            raise ProtocolError(f"more than {self._limits.max_tts_contexts} contexts at a time")
        if speaker is None:
            speaker = self._speakers[command.context] = self._new_speaker(command.context)
        self._undone += 1
        await speaker.put(command)

    def _new_speaker(self, context: str) -> _Speaker:
        # the first context uses what was made ready in the handshake
        session, self._first_session = self._first_session, None
        speaker = _Speaker(self, context, session)
        speaker.task.add_done_callback(self._speaker_ended)
        return speaker

    def _speaker_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._ended.done():
            return
        if (error := task.exception()) is not None:
            self._ended.set_exception(error)

    async def _clear(self, command: Clear) -> None:
        speaker = self._speakers.pop(command.context, None)
        if speaker is not None:
            self._undone = 0  # one context: this is all there was
            speaker.task.cancel()
            await asyncio.gather(speaker.task, return_exceptions=True)
        await self._tell(self.dialect.cleared(command.context), words=self._words)

    async def done(self, command: TtsCommand) -> None:
        """Answer a command that has been carried out."""
        self._undone -= 1
        match command:
            case Mark(context=context):
                await self._tell(self.dialect.marked(context), words=self._words)
            case Release(context=context):
                self._speakers.pop(context, None)
                await self._tell(self.dialect.released(context), words=self._words)
            case Hangup() if not self._ended.done():
                self._ended.set_result(None)

    async def send_audio(self, data: bytes, context: str, words: int) -> None:
        """Send some audio, if there is any."""
        if data:
            await self._tell(self.dialect.audio(data, context), words=words)

    def count_words(self, text: str) -> int:
        """Add the words of a text; return how many there have been on this socket."""
        self._words += len(text.split())
        return self._words

    async def new_session(self) -> TtsSession:
        """A voice for another context."""
        return await self._engine.connect(self._voice)


async def _serve(
    request: web.Request, model: str, voice: str, dialect: TtsDialect
) -> web.StreamResponse:
    context = request.app[CONTEXT]
    delivery(dialect.format)  # what cannot be sent is refused with a status
    engine = await context.engines.tts(model)
    session = await engine.connect(voice)
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_text_frame_bytes
    )
    with context.stats.call("tts") as call, context.tracked(socket):
        stream = TtsStream(
            request,
            socket,
            session,
            engine=engine,
            voice=voice,
            dialect=dialect,
            context=context,
        )
        await stream.run(call)
    return socket


async def tts_stream(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/speech/stream` (AIgateway)."""
    config = request.app[CONTEXT].config
    model, voice = decode_tts_query(request.query)
    dialect = AigatewayTts(limits=config.limits, extended=config.extended)
    return await _serve(request, model, voice, dialect)


async def deepgram_speak(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/speak` (Deepgram)."""
    model, wanted = decode_speak_query(request.query)
    dialect = DeepgramTts(limits=request.app[CONTEXT].config.limits, wanted=wanted)
    return await _serve(request, model, "", dialect)


async def elevenlabs_stream_input(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/text-to-speech/{voice}/multi-stream-input` (ElevenLabs)."""
    wanted = decode_output_format(request.query)
    dialect = ElevenLabsTts(limits=request.app[CONTEXT].config.limits, wanted=wanted)
    model = request.query.get("model_id", "")
    return await _serve(request, model, request.match_info["voice"], dialect)


async def inference_tts(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/tts` (LiveKit Inference)."""
    dialect = InferenceTts(limits=request.app[CONTEXT].config.limits, session_id=uuid.uuid4().hex)
    return await _serve(request, request.query.get("model", "auto"), "", dialect)
