"""Health that workers share, through a real Redis that also dies, hangs and forgets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.agents import APIConnectionError, vad
from livekit.plugins.gatewaykit.errors import from_status
from livekit.plugins.gatewaykit.keys import Key, KeyRing

from agent.call import Call
from agent.chain.route import BreakerLimits, ChainRoute, Hold
from agent.config import ConfigError, load_settings
from agent.providers import build_llm
from agent.shared_health import SharedBoard, board_of, shared_board
from demo import redis as redis_server

ROUTE = "llm aigateway:m"
AT_ONCE_S = 0.05
"""Most time that a call may be delayed: nothing is waited for, so this is the scheduler's."""


class Redis:
    """A Redis of this test that can be stopped, hung and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:canary-password@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = redis_server.command(host="127.0.0.1", port=self.port, folder=self.folder)
        self._process = subprocess.Popen(
            [*command, "--requirepass", "canary-password", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


@contextlib.asynccontextmanager
async def worker(redis: Redis) -> AsyncIterator[SharedBoard]:
    board = SharedBoard(redis.url)
    board.start()
    try:
        yield board
    finally:
        await board.aclose()


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def route(board: SharedBoard) -> ChainRoute[str]:
    return ChainRoute(
        stage="llm",
        name="aigateway:m",
        plugin="",
        board=board,
        limits=BreakerLimits(failures=3, cooldown_s=30),
        hold=Hold(first_s=0.0, longest_s=0.0),
    )


async def test_a_route_that_one_worker_marks_down_is_avoided_by_the_other(redis: Redis) -> None:
    async with worker(redis) as here, worker(redis) as there:
        await until(lambda: here.connected and there.connected)
        heard: list[tuple[str, bool]] = []
        end = there.subscribe(lambda name, down: heard.append((name, down)))
        mine, theirs = route(here), route(there)
        for _ in range(3):
            assert mine.begin()
            mine.failed(APIConnectionError())
        await until(lambda: not theirs.available)
        assert theirs.begin(), "hearsay opens no breaker"
        assert there.remaining_s(ROUTE) == pytest.approx(30, abs=5)
        mine.recovered()
        await until(lambda: theirs.available)
        assert heard == [(ROUTE, True), (ROUTE, False)]
        end()
        here.mark(ROUTE, down_s=3)
        await until(lambda: there.is_down(ROUTE))
        await until(lambda: not there.is_down(ROUTE))
        assert len(heard) == 2


async def test_a_key_that_rests_for_one_worker_rests_for_the_other(redis: Redis) -> None:
    secrets = ["canary-key-one", "canary-key-two"]
    async with worker(redis) as here, worker(redis) as there:
        mine, theirs = (KeyRing(secrets, provider="p", marks=board) for board in (here, there))
        mine.note(Key(1, secrets[0]), from_status(429, what="x", headers={"Retry-After": "60"}))
        await until(lambda: not theirs.another(tried=(2,)))
        assert [theirs.take().index for _ in range(2)] == [2, 2]
        held = await here._redis.zrange("parley:down", 0, -1)
        assert len(held) == 1
        assert "canary" not in str(held)


async def test_redis_that_hangs_dies_and_forgets_delays_nothing(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="parley.health")
    async with worker(redis) as here, worker(redis) as there:
        await until(lambda: here.connected and there.connected)
        here.mark(ROUTE, down_s=120)
        await until(lambda: there.is_down(ROUTE))

        redis.hang()
        await until(lambda: not here.connected and not there.connected)
        started = time.monotonic()
        assert there.is_down(ROUTE), "what was told last is known until it expires"
        here.mark("tts other", down_s=120)
        assert here.is_down("tts other")
        assert not there.is_down("tts other")
        assert time.monotonic() - started < AT_ONCE_S
        redis.go_on()
        await until(lambda: there.is_down("tts other"))

        redis.stop()  # with everything that it knew
        await until(lambda: not here.connected and not there.connected)
        started = time.monotonic()
        here.mark("tts other", down_s=0)
        assert there.is_down(ROUTE)
        assert time.monotonic() - started < AT_ONCE_S
        redis.start()
        await until(lambda: here.connected and there.connected)
        await until(lambda: not there.is_down("tts other"))
        async with worker(redis) as new:
            await until(lambda: new.is_down(ROUTE))
            assert not new.is_down("tts other")
    assert "canary" not in caplog.text + str([record.__dict__ for record in caplog.records])


class Swallows:
    """A client that is done in the moment it is cancelled, and forgets that: so does `wait_for`.

    It does so once.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._swallowed = False

    async def eval(self, *_: object) -> list[str]:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._swallowed:
                raise
            self._swallowed = True
        return []

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_a_client_that_swallows_a_cancellation_keeps_no_board_from_closing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board, client = SharedBoard("redis://127.0.0.1:1/0"), Swallows()
    monkeypatch.setattr(board, "_redis", client)
    board.start()
    await client.asked.wait()
    async with asyncio.timeout(10):
        await board.aclose()


async def test_without_redis_a_worker_knows_what_it_found_out(tmp_path: Path) -> None:
    async with worker(Redis(tmp_path)) as alone:
        alone.mark(ROUTE, down_s=60)
        await asyncio.sleep(0.05)
        assert alone.is_down(ROUTE)
        assert not alone.connected


async def test_a_change_of_state_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="parley.health")
    board = SharedBoard(Redis(tmp_path).url)
    for connected in (False, False, True, True, False):
        board._note(connected=connected, why="ConnectionError")
    told = [record.message for record in caplog.records]
    lost = "health is not shared: Redis does not answer"
    assert told == [lost, "health is shared", lost]
    await board.aclose()


def test_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert shared_board(load_settings()) is None
    assert not board_of(load_settings()).is_down(ROUTE)
    monkeypatch.setenv("AGENT_REDIS_URL", "redis://:canary-password@127.0.0.1:1/0")
    settings = load_settings()
    board = shared_board(settings)
    assert board is shared_board(settings) is board_of(settings)
    assert "canary" not in f"{settings!r} {board!r}"
    monkeypatch.setenv("AGENT_REDIS_URL", "canary-password")
    with pytest.raises(ConfigError, match="AGENT_REDIS_URL") as failure:
        shared_board(load_settings())
    assert "canary" not in str(failure.value)


async def test_a_call_takes_part_from_its_beginning_to_its_end(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_REDIS_URL", redis.url)
    monkeypatch.setenv("AGENT_LLM", "local:brain")
    settings = load_settings()
    at_end: list[Callable[[], Awaitable[None]]] = []
    plugins: Any = SimpleNamespace(model=build_llm(settings, board=board_of(settings)))
    ctx: Any = SimpleNamespace(add_shutdown_callback=at_end.append)
    call = Call(ctx=ctx, settings=settings, detector=cast("vad.VAD", None), plugins=plugins)
    call._share_health()
    board = shared_board(settings)
    assert board is not None
    assert plugins.model.members.routes[0].board is board
    await until(lambda: board.connected)
    for end in at_end:
        await end()
    await plugins.model.aclose()
