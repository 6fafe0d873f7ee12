"""A pool that holds one warm spare socket.

LiveKit's ``ConnectionPool`` drops its socket when a reply is cancelled and opens the next one on
the reply path, and it never looks at a socket that waits. Here a task keeps exactly one spare
connected: it opens the next as soon as one is taken, notices a spare that closes or grows old,
and backs off while the gateway refuses. A socket serves one reply: what still arrives on it
afterwards must not be taken for the next one's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from livekit.agents import APIError, utils

from .log import logger
from .retry import Backoff, is_retryable
from .websocket import Socket

_HEALTHY_AFTER_S = 1.0
"""A spare that closes sooner was never accepted: the next try waits as after a failed handshake."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A socket in use, and what it cost to get it."""

    socket: Socket
    acquire_s: float
    """Seconds from asking to having it."""
    reused: bool
    """Whether the handshake had been done before."""


class SparePool:
    """Hands out connected sockets and keeps one more in reserve.

    Args:
        name: For task names and logs.
        connect: Opens a socket within the seconds it is given, or raises an ``APIError``.
        connect_timeout_s: The time a background handshake may take.
        spare_max_age_s: A spare older than this is replaced; below the gateway's idle timeout.
        refill: Whether a taken spare is replaced. ``False`` for streams that live as long as a
            call.
        keepalive: Text sent to a waiting spare every ``keepalive_s``, for servers that close an
            idle socket.
        keepalive_s: Interval of ``keepalive``.
        backoff: The wait after a failed background handshake.
    """

    def __init__(
        self,
        *,
        name: str,
        connect: Callable[[float], Awaitable[Socket]],
        connect_timeout_s: float,
        spare_max_age_s: float,
        refill: bool = True,
        keepalive: str | None = None,
        keepalive_s: float = 4.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._connect_timeout_s = connect_timeout_s
        self._spare_max_age_s = spare_max_age_s
        self._refill = refill
        self._keepalive = keepalive
        self._keepalive_s = keepalive_s
        self._backoff = backoff or Backoff(maximum_s=5.0)
        self._spare: Socket | None = None
        self._opening: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closers: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._closed = False

    def prewarm(self) -> None:
        """Have a spare soon, without waiting for it. Needs a running event loop."""
        if self._closed or (self._keeper is not None and not self._keeper.done()):
            return
        if self._spare is None:
            self._opening = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep_spare(), name=f"{self._name}.spare")

    async def acquire(self, *, timeout_s: float) -> Lease:
        """Take the spare, or a handshake that is under way, or do one.

        Raises:
            APIError: No socket could be had within ``timeout_s``.
        """
        started = time.monotonic()
        socket = self._take_spare()
        reused = socket is not None
        if socket is None and self._opening is not None:
            # a handshake begun before the reply will be done before one begun now
            await asyncio.wait([self._opening], timeout=timeout_s)
            socket = self._take_spare()
        if socket is None:
            remaining = timeout_s - (time.monotonic() - started)
            socket = await self._connect(max(remaining, timeout_s / 10))
        if self._refill:
            self.prewarm()
        return Lease(socket=socket, acquire_s=time.monotonic() - started, reused=reused)

    def discard(self, socket: Socket) -> None:
        """Close a socket at once, without waiting for the peer to agree."""
        task = asyncio.create_task(socket.aclose(), name=f"{self._name}.close")
        self._closers.add(task)
        task.add_done_callback(self._closers.discard)

    def invalidate(self) -> None:
        """Replace the spare: what is baked into its address has changed."""
        self._generation += 1
        if self._spare is not None:
            self.discard(self._spare)
            self._spare = None
            self._wake.set()

    async def aclose(self) -> None:
        """Close the spare and everything that is still closing."""
        self._closed = True
        if self._keeper is not None:
            await utils.aio.cancel_and_wait(self._keeper)
        if self._spare is not None:
            self.discard(self._spare)
            self._spare = None
        await asyncio.gather(*self._closers)

    def _take_spare(self) -> Socket | None:
        socket, self._spare = self._spare, None
        if socket is None:
            return None
        self._wake.set()
        if socket.closed or socket.binary_received:
            # audio before any text can only be somebody else's
            self.discard(socket)
            return None
        return socket

    async def _keep_spare(self) -> None:
        """Keep one spare until it is taken (``refill=False``) or the pool closes."""
        failures = 0
        try:
            while True:
                healthy = await self._open_spare() and await self._watch_spare()
                if not self._refill and self._spare is None:
                    return
                failures = 0 if healthy else failures + 1
                if failures:
                    await asyncio.sleep(self._backoff.delay_s(failures))
        except APIError as exc:
            logger.warning(
                "no spare connection can be opened",
                extra={"pool": self._name, "error_type": type(exc).__name__},
            )
        finally:
            self._announce()

    async def _open_spare(self) -> bool:
        """One handshake; ``False`` when it failed and may succeed later."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_future()
        generation = self._generation
        try:
            socket = await self._connect(self._connect_timeout_s)
        except APIError as exc:
            self._announce()
            if not is_retryable(exc):
                raise
            return False
        if generation != self._generation:
            self.discard(socket)
            return True
        old, self._spare = self._spare, socket
        self._wake.clear()
        self._announce()
        if old is not None:  # it had grown old, and served until its successor was connected
            self.discard(old)
        return True

    def _announce(self) -> None:
        """Release whoever waits for the handshake under way."""
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)
        self._opening = None

    async def _watch_spare(self) -> bool:
        """Wait until the spare is taken, has closed, or is due for replacement.

        Returns:
            Whether the gateway had accepted it: one that closes at once was refused in effect.
        """
        spare = self._spare
        if spare is None:
            return True
        ends = [
            asyncio.create_task(spare.wait_closed(), name=f"{self._name}.spare.closed"),
            asyncio.create_task(self._wake.wait(), name=f"{self._name}.spare.taken"),
        ]
        try:
            while (age_left := spare.opened_at + self._spare_max_age_s - time.monotonic()) > 0:
                wait_s = min(age_left, self._keepalive_s) if self._keepalive else age_left
                done, _ = await asyncio.wait(
                    ends, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    break
                if self._keepalive:
                    await self._send_keepalive(spare)
        finally:
            await utils.aio.cancel_and_wait(*ends)
        if not spare.closed or self._spare is not spare:
            return True
        self._spare = None
        self.discard(spare)
        return time.monotonic() - spare.opened_at >= _HEALTHY_AFTER_S

    async def _send_keepalive(self, spare: Socket) -> None:
        assert self._keepalive is not None
        try:
            await spare.send(self._keepalive)
        except APIError:
            # its reader ends with it, and that is what the watch looks at
            return
