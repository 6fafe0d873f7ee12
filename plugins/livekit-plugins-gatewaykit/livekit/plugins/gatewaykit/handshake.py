"""Handshakes: a socket under the key whose turn it is."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from livekit.agents import APIError

from .faults import FaultLog
from .keys import Key, KeyRing
from .url import bearer
from .websocket import Socket, SocketOptions


async def connect(
    session: aiohttp.ClientSession,
    url: str,
    *,
    keys: KeyRing,
    headers: Mapping[str, str],
    timeout_s: float,
    options: SocketOptions,
    faults: FaultLog,
) -> Socket:
    """Connect; a key that is refused makes way for the next.

    Args:
        session: Where connections come from.
        url: The address.
        keys: The account's.
        headers: Sent beside the key.
        timeout_s: Seconds that all of it may take.
        options: Bounds of the socket.
        faults: Told of every failure.

    Raises:
        APIError: It failed; the error says whether another try can help.
    """

    async def ask(key: Key, left_s: float) -> Socket:
        socket = await Socket.connect(
            session,
            url,
            headers={**headers, **bearer(key.secret)},
            timeout_s=left_s,
            options=options,
        )
        socket.key = key
        return socket

    try:
        return await keys.use(ask, within_s=timeout_s, on_switch=faults.note_error)
    except APIError as exc:
        faults.note_error(exc)
        raise
