"""Where handlers send what they have to say. Faults can be put in between; handlers do not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message: a text frame, a binary frame, or (as bytes) an event of a streamed body."""

    data: str | bytes
    words: int = 0
    """Words told on this connection up to and with this message."""
    is_final: bool = False
    """A final transcript."""
    in_arguments: bool = False
    """Part of a tool call's arguments."""


class AnswerEnded(Exception):
    """The answer has been ended by other means: the handler has nothing more to send."""


class Outlet(Protocol):
    """The sending side of one connection."""

    async def send(self, message: Outgoing) -> None:
        """Send one message.

        Raises:
            ConnectionError: if the connection is gone.
            AnswerEnded: if the answer is over.
        """

    async def note_received(self, size: int) -> None:
        """Take note of audio that the client sent, in bytes."""

    async def close(self, code: int) -> None:
        """End the connection."""


class SocketOutlet:
    """A WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: Outgoing) -> None:
        """Send one frame."""
        if isinstance(message.data, str):
            await self._socket.send_str(message.data)
        else:
            await self._socket.send_bytes(message.data)

    async def note_received(self, size: int) -> None:
        """Nothing depends on it here."""

    async def close(self, code: int) -> None:
        """Close with a code."""
        await self._socket.close(code=code)


class BodyOutlet:
    """The body of a streamed answer; its headers go out with the first message."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response

    async def send(self, message: Outgoing) -> None:
        """Write one event, or a text as one line."""
        await self._begin()
        data = message.data
        await self._response.write(f"{data}\n".encode() if isinstance(data, str) else data)

    async def _begin(self) -> None:
        if not self._response.prepared:
            # Not earlier: what fails before its first word gets an honest HTTP status.
            await self._response.prepare(self._request)

    async def note_received(self, size: int) -> None:
        """Nothing depends on it here."""

    async def close(self, code: int) -> None:
        """Close the connection; the body stays without its end."""
        if self._request.transport is not None:
            self._request.transport.close()

    async def end(self) -> None:
        """End the body properly."""
        await self._begin()
        await self._response.write_eof()
