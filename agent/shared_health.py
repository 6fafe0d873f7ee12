"""What workers tell each other through Redis: which routes are down, and which keys rest.

No request ever waits for it. What is asked is answered from memory; a task of its own brings that
memory and Redis together, twice a second and at once after a mark. While Redis is slow, gone or
restarting, each process knows what it found out itself and what it was last told, until that
expires; a Redis that comes back empty is told again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from livekit.agents import utils

from .chain.health import HealthBoard, Listener, LocalBoard
from .config import ConfigError, Settings, revealed

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger("parley.health")

_KEY = "parley:down"
_INTERVAL_S = 0.5
"""Between two looks at Redis, so at most the time until another worker's mark is known here."""
_TIMEOUT_S = 0.5
"""For a connection, and for an answer."""
_RETRY_S = 2.0
"""Most time between two tries while Redis does not answer."""
_MOST_NAMES = 1000
"""Names that are read; there are a few routes and keys."""
_EXPIRES_MS = 7_200_000
"""When nobody has marked anything for so long, nothing is left in Redis."""

_EXCHANGE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV, 2 do
    local down_ms = tonumber(ARGV[i + 1])
    if down_ms > 0 then
        redis.call('ZADD', KEYS[1], now + down_ms, ARGV[i])
    else
        redis.call('ZREM', KEYS[1], ARGV[i])
    end
end
if #ARGV > 2 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local rows = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
for i = 2, #rows, 2 do rows[i] = math.floor(rows[i] - now) end
return rows
"""
"""Marks in, everything that is down out; by the server's clock, for workers' clocks differ."""


class SharedBoard:
    """A `HealthBoard` of all workers that have the same Redis; the key rings' `Marks` too.

    Args:
        url: redis://, rediss:// or unix://; it may hold a password.
        clock: Monotonic seconds.

    Raises:
        ConfigError: The address is none.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._redis = _client(url)
        self._down_until: dict[str, float] = {}
        self._own: dict[str, float] = {}
        """What was marked here and not taken back, for a Redis that forgot it."""
        self._untold: dict[str, float] = {}
        """Marks that Redis was not told yet, by name; a time that has passed takes one back."""
        self._listeners: list[Listener] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connected: bool | None = None

    def start(self) -> None:
        """Begin to exchange marks with Redis. Needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="parley.health")

    async def aclose(self) -> None:
        """Stop; what was not told by then is not told."""
        if self._task is not None:
            await utils.aio.cancel_and_wait(self._task)
            self._task = None
        await self._redis.aclose()

    @property
    def connected(self) -> bool:
        """Whether Redis answered the last time."""
        return bool(self._connected)

    def mark(self, route: str, *, down_s: float) -> None:
        """See `HealthBoard.mark`."""
        until = self._clock() + down_s if down_s > 0 else -math.inf
        self._untold[route] = until
        if down_s > 0:
            self._own[route] = until
        else:
            self._own.pop(route, None)
        self._set(route, until)
        self._wake.set()

    def is_down(self, route: str) -> bool:
        """See `HealthBoard.is_down`."""
        return self.remaining_s(route) > 0

    def remaining_s(self, name: str) -> float:
        """Seconds for which a name is still to be left alone."""
        return self._down_until.get(name, -math.inf) - self._clock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `HealthBoard.subscribe`."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _set(self, name: str, until: float) -> None:
        down = until > self._clock()
        if down:
            self._down_until[name] = until
        else:
            self._down_until.pop(name, None)
        for listener in list(self._listeners):
            listener(name, down)

    async def _run(self) -> None:
        from redis.exceptions import RedisError

        me = asyncio.current_task()
        # The client uses Python 3.11's `wait_for`, which can swallow a cancellation.
        while me and not me.cancelling():
            try:
                async with asyncio.timeout(2 * _TIMEOUT_S):
                    await self._exchange()
            except (RedisError, OSError, TimeoutError) as e:
                self._note(connected=False, why=type(e).__name__)
                # a Redis that restarts is not met by all workers in the same moment
                await asyncio.sleep(random.uniform(_INTERVAL_S, _RETRY_S))
                continue
            self._note(connected=True)
            try:
                async with asyncio.timeout(_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _exchange(self) -> None:
        """Tell Redis what it does not know, and take over what it knows."""
        self._wake.clear()
        now = self._clock()
        self._own = {name: until for name, until in self._own.items() if until > now}
        told = dict(self._untold if self._connected else self._own | self._untold)
        marks = [
            part
            for name, until in told.items()
            for part in (name, max(0, math.ceil((until - now) * 1000)) if until > now else 0)
        ]
        rows: list[str] = await self._redis.eval(
            _EXCHANGE, 1, _KEY, _MOST_NAMES, _EXPIRES_MS, *marks
        )
        for name, until in told.items():
            if self._untold.get(name) == until:
                del self._untold[name]
        self._take_over(dict(zip(rows[::2], map(float, rows[1::2]), strict=True)))

    def _take_over(self, down_ms: dict[str, float]) -> None:
        now = self._clock()
        for name, remaining_ms in down_ms.items():
            if name in self._untold:
                continue
            known = self._down_until.get(name, -math.inf) > now
            self._down_until[name] = now + remaining_ms / 1000
            if not known:
                self._set(name, self._down_until[name])
        for name, until in list(self._down_until.items()):
            if name in down_ms or name in self._untold:
                continue
            if until > now:
                self._set(name, -math.inf)  # somebody saw it work
            else:
                del self._down_until[name]
            self._own.pop(name, None)

    def _note(self, *, connected: bool, why: str = "") -> None:
        """One log line a change of state; it says neither where Redis is nor as whom."""
        if connected is self._connected:
            return
        self._connected = connected
        if connected:
            logger.info("health is shared")
        else:
            logger.warning("health is not shared: Redis does not answer", extra={"error": why})


_boards: weakref.WeakValueDictionary[str, SharedBoard] = weakref.WeakValueDictionary()


def board_of(settings: Settings) -> HealthBoard:
    """The board of this process: the one behind `AGENT_REDIS_URL`, else its own.

    Raises:
        ConfigError: The address is none.
    """
    return shared_board(settings) or LocalBoard()


def shared_board(settings: Settings) -> SharedBoard | None:
    """The board behind `AGENT_REDIS_URL`, the same for all who ask; None without one.

    Raises:
        ConfigError: The address is none.
    """
    if not (url := revealed(settings.redis_url).strip()):
        return None
    if (board := _boards.get(url)) is None:
        board = _boards[url] = SharedBoard(url)
    return board


def _client(url: str) -> Redis:
    # read only where there is a Redis: it takes a tenth of a second
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
        )
    except ValueError:
        raise ConfigError(
            "AGENT_REDIS_URL is no address such as redis://:password@redis.example:6379/0."
        ) from None
