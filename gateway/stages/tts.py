"""Text to speech: clauses in, audio out, in order."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from gateway.engines.base import TtsSession
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
    decode_tts_query,
    decode_tts_text,
    encode_error,
    encode_tts_done,
)

logger = logging.getLogger("gateway.tts")


@dataclass(frozen=True)
class _Text:
    text: str
    received_at_s: float


class TtsStream:
    """One socket: texts in, audio out."""

    def __init__(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        session: TtsSession,
        *,
        context: Context,
    ) -> None:
        self._request = request
        self._socket = socket
        self._session = session
        self._outlet: Outlet = SocketOutlet(socket)
        self._words = 0
        self._limits = context.config.limits
        self._extended = context.config.extended
        self._texts: asyncio.Queue[_Text] = asyncio.Queue(self._limits.max_queued_texts)
        self._unspoken = 0
        """Texts whose audio has not been sent in full."""

    async def run(self, call: Call) -> None:
        """Serve until the client leaves or ends its input."""
        try:
            self._outlet = await open_outlet(self._request, self._outlet, call)
            await first_done(
                asyncio.create_task(self._receive(call), name="tts-receive"),
                asyncio.create_task(self._speak(call), name="tts-speak"),
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
            logger.exception("text to speech failed")
            await self._fail("the voice failed", code="engine_error", close_code=INTERNAL_ERROR)

    def _left_by_client(self) -> Outcome:
        return outcome_of(self._socket, owed=self._unspoken > 0)

    async def _receive(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        async for message in self._socket:
            if message.type is WSMsgType.ERROR:
                break
            if message.type is not WSMsgType.TEXT:
                raise ProtocolError("this socket takes JSON text only")
            text = decode_tts_text(message.data, limits=self._limits)
            if text or self._extended:
                self._unspoken += 1
                await self._texts.put(_Text(text, loop.time()))
        call.outcome = self._left_by_client()

    async def _speak(self, call: Call) -> None:
        """Speak what comes; ends after the empty text, which only the extended form queues."""
        while True:
            item = await self._texts.get()
            if not item.text:
                self._unspoken -= 1
                break
            self._words += len(item.text.split())
            if item.text.strip():
                audio = self._session.speak(item.text, received_at_s=item.received_at_s)
                async for piece in audio:
                    await self._outlet.send(Outgoing(data=piece, words=self._words))
            if self._extended:
                await self._outlet.send(Outgoing(data=encode_tts_done(), words=self._words))
            self._unspoken -= 1
        call.outcome = Outcome.COMPLETED
        await self._socket.close(code=NORMAL_CLOSURE)

    async def _fail(self, message: str, *, code: str, close_code: int) -> None:
        if self._extended and not self._socket.closed:
            await self._socket.send_str(encode_error(message, code=code))
        await self._socket.close(code=close_code, message=message.encode()[:120])


async def tts_stream(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/speech/stream`."""
    context = request.app[CONTEXT]
    model, voice = decode_tts_query(request.query)
    engine = await context.engines.tts(model)
    session = await engine.connect(voice)
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_text_frame_bytes
    )
    with context.stats.call("tts") as call, context.tracked(socket):
        await TtsStream(request, socket, session, context=context).run(call)
    return socket
