"""One WebSocket, as every stream uses it: bounded, and mapped to LiveKit's errors.

A reader task empties the socket from its first moment to its last, so that a close, a pong that
never came and stray audio are noticed on an idle socket too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from livekit.agents import APIError, utils

from .errors import from_close_code, from_transport
from .keys import Key

_REQUEST_ID_HEADERS = ("x-request-id", "dg-request-id", "request-id")
_MAX_REQUEST_ID_CHARS = 128
_LAST_WORDS_S = 0.5
"""After a write failed: the wait for the reason, which may still be on its way in."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The socket ended; no message follows."""

    code: int | None

    def to_error(self) -> APIError:
        """The error of a socket that was still needed."""
        return from_close_code(self.code)


Message = str | bytes | Closed


@dataclass(frozen=True, kw_only=True)
class SocketOptions:
    """Bounds of a socket; see ``limits`` for where the figures come from."""

    max_message_bytes: int
    queue_messages: int
    heartbeat_s: float
    send_s: float
    close_s: float


class Socket:
    """A connected WebSocket. Made by :meth:`connect`, ended by :meth:`aclose`."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, options: SocketOptions) -> None:
        self._ws = ws
        self._options = options
        self._messages: asyncio.Queue[Message] = asyncio.Queue(maxsize=options.queue_messages)
        self._closed = asyncio.Event()
        self._binary_received = False
        self.opened_at = time.monotonic()
        self.heard_at = self.opened_at
        """Monotonic time at which anything last came, pongs included."""
        self.request_id = _request_id(ws)
        self.key: Key | None = None
        """Under which key it was opened."""
        self._reader = asyncio.create_task(self._read(), name="gateway.socket.read")

    @classmethod
    async def connect(
        cls,
        session: aiohttp.ClientSession,
        url: str,
        *,
        headers: dict[str, str],
        timeout_s: float,
        options: SocketOptions,
    ) -> Socket:
        """Do the handshake.

        Raises:
            APIError: It failed; the error says whether another try can help.
        """
        try:
            async with asyncio.timeout(timeout_s):
                ws = await aiohttp.ClientSession._ws_connect(
                    cast("aiohttp.ClientSession", _NoRedirects(session)),
                    url,
                    headers=headers,
                    heartbeat=options.heartbeat_s,
                    timeout=aiohttp.ClientWSTimeout(ws_close=options.close_s),
                    max_msg_size=options.max_message_bytes,
                    # a compressed bomb passes any limit on the bytes that arrive
                    compress=0,
                    autoping=False,  # a pong is what `ping` waits for
                )
        except Exception as exc:  # every kind of failure is mapped, and none may chain the request
            error = from_transport(exc, what="handshake failed")
        else:
            return cls(ws, options)
        raise error from None

    @property
    def closed(self) -> bool:
        """Whether the socket has ended."""
        return self._closed.is_set()

    @property
    def binary_received(self) -> bool:
        """Whether any binary message has come since the handshake."""
        return self._binary_received

    async def wait_closed(self) -> None:
        """Wait for the socket to end."""
        await self._closed.wait()

    async def send(self, data: str | bytes) -> None:
        """Write one message.

        Raises:
            APIError: The socket is gone, or the peer stopped reading.
        """
        if isinstance(data, str):
            await self._write(self._ws.send_str(data))
        else:
            await self._write(self._ws.send_bytes(data))

    async def ping(self) -> None:
        """Ask for a sign of life: a peer that is there moves `heard_at`.

        Raises:
            APIError: As :meth:`send`.
        """
        await self._write(self._ws.ping())

    async def _write(self, writing: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._options.send_s):
                await writing
        except (TimeoutError, aiohttp.ClientError, OSError, RuntimeError) as exc:
            error = from_transport(exc, what="connection lost while sending")
        else:
            return
        raise await self._reason_for(error) from None

    async def receive(self) -> Message:
        """The next message; after the end, :class:`Closed` again and again."""
        if self._closed.is_set() and self._messages.empty():
            return Closed(self._ws.close_code)
        return await self._messages.get()

    async def aclose(self) -> None:
        """Close the socket; takes at most the close timeout, whatever the peer does."""
        try:
            # aiohttp restarts its own close timeout with every message, and a peer that goes on
            # speaking would never be left; when this one ends, aiohttp drops the connection
            async with asyncio.timeout(self._options.close_s):
                await self._ws.close()
        except TimeoutError:
            pass
        await utils.aio.cancel_and_wait(self._reader)
        self._closed.set()

    async def _reason_for(self, error: APIError) -> APIError:
        """What the peer said about a write that failed: that has the better verdict.

        Time is given first to whoever receives, for an error message may be waiting there.
        """
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._closed.wait()
                if not self._messages.empty():
                    await asyncio.sleep(_LAST_WORDS_S)
        except TimeoutError:
            return error
        return error if self._ws.close_code is None else from_close_code(self._ws.close_code)

    async def _read(self) -> None:
        try:
            while True:
                msg = await self._ws.receive()
                self.heard_at = time.monotonic()
                if msg.type is aiohttp.WSMsgType.BINARY:
                    self._binary_received = True
                    await self._messages.put(msg.data)
                elif msg.type is aiohttp.WSMsgType.TEXT:
                    await self._messages.put(msg.data)
                elif msg.type is aiohttp.WSMsgType.PING:
                    await self._ws.pong(msg.data)
                elif msg.type is not aiohttp.WSMsgType.PONG:  # CLOSE, CLOSING, CLOSED or ERROR
                    return
        finally:
            self._closed.set()
            # a reader that waits must be told; a full queue has one that will look at `_closed`
            if not self._messages.full():
                self._messages.put_nowait(Closed(self._ws.close_code))


class _NoRedirects:
    """A session whose requests are answered where they were sent.

    aiohttp follows a redirect of a handshake, to wherever it leads; it drops the key on the way to
    another origin, but who answers there is not ours.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        return await self._session.request(*args, **options, allow_redirects=False)


def _request_id(ws: aiohttp.ClientWebSocketResponse) -> str | None:
    for name in _REQUEST_ID_HEADERS:
        value = ws._response.headers.get(name)
        if value and value.isprintable():
            return value[:_MAX_REQUEST_ID_CHARS]
    return None
