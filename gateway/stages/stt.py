"""Speech to text: audio in, transcripts out."""

from __future__ import annotations

import asyncio
import logging
import uuid

from aiohttp import WSMsgType, web

from gateway.config import Limits
from gateway.engines.base import SpeechStarted, SttSession
from gateway.errors import ProtocolError
from gateway.faults.http import open_outlet
from gateway.stages.context import (
    CONTEXT,
    INTERNAL_ERROR,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    Context,
    first_done,
    open_socket,
    outcome_of,
)
from gateway.stages.outlet import Outgoing, Outlet, SocketOutlet
from gateway.stats import Call, Outcome
from gateway.wire.aigateway import (
    SttControl,
    Transcript,
    decode_stt_query,
    decode_stt_text,
    encode_error,
    encode_speech_started,
    encode_stt_metadata,
    encode_transcript,
)

logger = logging.getLogger("gateway.stt")


class SttStream:
    """One socket: audio in, transcripts out."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        session: SttSession,
        *,
        context: Context,
    ) -> None:
        self._request = request
        self._socket = socket
        self._session = session
        self._outlet: Outlet = SocketOutlet(socket)
        self._final_words = 0
        self._limits: Limits = context.config.limits
        self._extended = context.config.extended
        self._request_id = str(uuid.uuid4())

    async def run(self, call: Call) -> None:
        """Serve until the client leaves or asks for the end of the stream."""
        try:
            self._outlet = await open_outlet(self._request, self._outlet, call)
            await first_done(
                asyncio.create_task(self._receive(call), name="stt-receive"),
                asyncio.create_task(self._send(call), name="stt-send"),
            )
        except ProtocolError as error:
            call.outcome = Outcome.ERRORS
            await self._fail(str(error), code="invalid_message", close_code=POLICY_VIOLATION)
        except ConnectionError:
            call.outcome = self._left_by_client()
        except asyncio.CancelledError:  # the connection was lost
            call.outcome = self._left_by_client()
            raise
        except Exception:
            call.outcome = Outcome.ERRORS
            logger.exception("speech to text failed")
            await self._fail(
                "the recogniser failed", code="engine_error", close_code=INTERNAL_ERROR
            )
        finally:
            await self._session.aclose()

    def _left_by_client(self) -> Outcome:
        return outcome_of(self._socket, owed=self._session.in_utterance)

    async def _receive(self, call: Call) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._session.push(message.data)
                await self._outlet.note_received(len(message.data))
            elif message.type is WSMsgType.TEXT:
                control = decode_stt_text(message.data, limits=self._limits)
                if control is SttControl.FINALIZE:
                    self._session.finalize()
                elif control is SttControl.CLOSE_STREAM:
                    self._session.end_input()
        call.outcome = self._left_by_client()

    async def _send(self, call: Call) -> None:
        async for event in self._session.events():
            if not isinstance(event, SpeechStarted):
                await self._tell(event)
            elif self._extended:
                await self._outlet.send(Outgoing(data=encode_speech_started(event.at_s)))
        if self._extended:
            metadata = encode_stt_metadata(
                request_id=self._request_id, duration_s=self._session.audio_s
            )
            await self._outlet.send(Outgoing(data=metadata))
        call.outcome = Outcome.COMPLETED
        await self._socket.close(code=NORMAL_CLOSURE)

    async def _tell(self, transcript: Transcript) -> None:
        words = self._final_words + len(transcript.text.split())
        if transcript.is_final:
            self._final_words = words
        text = encode_transcript(transcript, extended=self._extended, request_id=self._request_id)
        await self._outlet.send(Outgoing(data=text, words=words, is_final=transcript.is_final))

    async def _fail(self, message: str, *, code: str, close_code: int) -> None:
        if self._extended and not self._socket.closed:
            await self._socket.send_str(encode_error(message, code=code))
        await self._socket.close(code=close_code, message=message.encode()[:120])


async def stt_stream(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/transcriptions/stream`."""
    context = request.app[CONTEXT]
    options = decode_stt_query(request.query)
    engine = await context.engines.stt(options.model)
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_audio_frame_bytes
    )
    with context.stats.call("stt") as call, context.tracked(socket):
        session = engine.open(options, words=context.config.extended)
        await SttStream(request, socket, session, context=context).run(call)
    return socket
