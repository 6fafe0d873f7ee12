"""What every handler needs, and the socket they share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import WebSocketError, web

from gateway.config import GatewayConfig
from gateway.engines.registry import EngineRegistry
from gateway.errors import ProtocolError
from gateway.stats import Outcome, Stats

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011


@dataclass(kw_only=True)
class Context:
    """One gateway, as its handlers see it."""

    config: GatewayConfig
    engines: EngineRegistry
    stats: Stats
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    """Open sockets, to be closed when the gateway stops."""

    @contextmanager
    def tracked(self, socket: web.WebSocketResponse) -> Iterator[None]:
        """Remember a socket while it is served."""
        self.sockets.add(socket)
        try:
            yield
        finally:
            self.sockets.discard(socket)


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


async def open_socket(
    request: web.Request, context: Context, *, max_message_bytes: int
) -> web.WebSocketResponse:
    """Answer a WebSocket handshake, with the limits that hold for every socket.

    permessage-deflate is off: a small compressed frame can unfold to a thousand times its size.

    Raises:
        ProtocolError: if the request is not a WebSocket handshake.
    """
    socket = web.WebSocketResponse(
        compress=False, heartbeat=context.config.heartbeat_s, max_msg_size=max_message_bytes
    )
    if not socket.can_prepare(request).ok:
        raise ProtocolError("this address takes WebSocket connections only")
    await socket.prepare(request)
    return socket


def outcome_of(socket: web.WebSocketResponse, *, owed: bool) -> Outcome:
    """Tell how a connection ended that this side did not end.

    Args:
        socket: the connection, closed or lost.
        owed: whether something that the client had asked for was not sent yet.
    """
    # aiohttp closes the socket itself when a peer breaks the protocol or a limit.
    if isinstance(socket.exception(), WebSocketError):
        return Outcome.ERRORS
    return Outcome.CLOSED_BY_CLIENT if owed else Outcome.COMPLETED


async def read_body(request: web.Request, *, max_bytes: int) -> bytes:
    """Read a body of bounded size.

    Raises:
        web.HTTPRequestEntityTooLarge: as soon as more than `max_bytes` have come.
    """
    if (request.content_length or 0) > max_bytes:
        raise web.HTTPRequestEntityTooLarge(
            max_size=max_bytes, actual_size=request.content_length or 0
        )
    body = bytearray()
    async for data in request.content.iter_any():
        body += data
        if len(body) > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_size=max_bytes, actual_size=len(body))
    return bytes(body)


async def first_done(*tasks: asyncio.Task[None]) -> None:
    """Wait until one of the tasks is done, cancel the others, and raise what it raised."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
