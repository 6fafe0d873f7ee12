"""Streamed answers over HTTP: bounded in time, refused honestly, mapped to LiveKit's errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import aiohttp
from livekit.agents import APIError
from livekit.plugins.gatewaykit.errors import (
    ProtocolError,
    StalledError,
    from_status,
    from_transport,
)
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.keys import Key, KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.url import bearer

from ._codec.objects import ObjectStream


class Patience:
    """How long the next piece of an answer may take.

    Args:
        first_s: From the request to the first piece.
        between_s: Between two pieces.
    """

    def __init__(self, *, first_s: float, between_s: float) -> None:
        self._between_s = between_s
        self._due = asyncio.get_running_loop().time() + first_s
        self._played_until = 0.0

    def on_piece(self) -> None:
        """Something came that was waited for."""
        now = asyncio.get_running_loop().time()
        self._due = max(now, self._played_until) + self._between_s

    def on_audio(self, seconds: float) -> None:
        """Audio came: a server may wait with more until this has played."""
        now = asyncio.get_running_loop().time()
        self._played_until = max(now, self._played_until) + seconds
        self.on_piece()

    @property
    def due(self) -> float:
        """Loop time at which the answer counts as stalled."""
        return self._due


class Answer:
    """A streamed answer that has begun."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, what: str, patience: Patience, ends_at: float
    ) -> None:
        self._response = response
        self._what = what
        self._ends_at = ends_at
        self.patience = patience
        self.content_type = response.content_type

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it comes.

        Raises:
            APIError: It stalled or broke off.
        """
        while True:
            try:
                async with asyncio.timeout_at(min(self.patience.due, self._ends_at)):
                    data = await self._response.content.readany()
            except TimeoutError:
                error: APIError = StalledError(self._what)
            except (aiohttp.ClientError, OSError) as exc:
                error = from_transport(exc, what=self._what)
            else:
                if not data:
                    return
                yield data
                continue
            raise error from None

    async def objects(self, limits: Limits, faults: FaultLog) -> AsyncGenerator[dict[str, object]]:
        """The JSON objects of the body; a few that do not decode are noted and left out.

        Raises:
            APIError: It stalled, broke off, or made no sense for too long.
        """
        stream = ObjectStream(limits)
        bad = 0
        async with aclosing(self.chunks()) as chunks:
            async for data in chunks:
                for item in stream.push(data):
                    bad = _judged(item, bad, limits, faults)
                    if not isinstance(item, ProtocolError):
                        yield item
        for item in stream.end():
            bad = _judged(item, bad, limits, faults)
            if not isinstance(item, ProtocolError):
                yield item


def _judged(
    item: dict[str, object] | ProtocolError, bad: int, limits: Limits, faults: FaultLog
) -> int:
    """How many objects in a row did not decode, this one included."""
    if not isinstance(item, ProtocolError):
        return 0
    faults.note(FaultKind.BAD_FRAME)
    if bad + 1 >= limits.bad_frames_in_a_row:
        raise item
    return bad + 1


class Post:
    """A request whose answer is streamed. Use as an async context manager.

    Args:
        session: Where connections come from.
        url: The address.
        what: For error messages.
        keys: The account's; a key that is refused makes way for the next.
        faults: Told of such refusals; what is raised is told by who asks.
        connect_s: Longest wait for a connection.
        patience: Deadlines of the pieces.
        total_s: Longest answer.
        body: Makes ``json=`` or ``data=`` of the request, anew for each try.

    Raises:
        APIError: It was refused, or nobody is there.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        what: str,
        keys: KeyRing,
        faults: FaultLog,
        connect_s: float,
        patience: Patience,
        total_s: float,
        body: Callable[[], dict[str, Any]],
    ) -> None:
        self._session = session
        self._url = url
        self._what = what
        self._keys = keys
        self._faults = faults
        self._connect_s = connect_s
        self._patience = patience
        self._ends_at = asyncio.get_running_loop().time() + total_s
        self._body = body
        self._key: Key | None = None
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> Answer:
        due_s = self._patience.due - asyncio.get_running_loop().time()
        return await self._keys.use(self._ask, within_s=due_s, on_switch=self._faults.note_error)

    async def _ask(self, key: Key, _: float) -> Answer:
        self._key = key
        connect_s = self._connect_s
        try:
            async with asyncio.timeout_at(min(self._patience.due, self._ends_at)):
                response = await self._session.post(
                    self._url,
                    headers=bearer(key.secret),
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=connect_s, sock_connect=connect_s
                    ),
                    allow_redirects=False,  # a redirect would carry the key with it
                    **self._body(),
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            error: APIError = from_transport(exc, what=self._what)
        else:
            if response.status == 200:
                self._response = response
                return Answer(
                    response, what=self._what, patience=self._patience, ends_at=self._ends_at
                )
            response.close()
            error = from_status(
                response.status,
                what=self._what,
                request_id=response.headers.get("x-request-id"),
                headers=response.headers,
            )
        raise error from None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, APIError):
            self._keys.judge(self._key, error)
        if self._response is not None:
            # closed, not released: the rest of an answer that nobody wants is not read
            self._response.close()
