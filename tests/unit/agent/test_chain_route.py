"""Which route is asked: breakers, probes and what workers tell each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIStatusError
from prometheus_client import REGISTRY

from agent.chain.health import LocalBoard
from agent.chain.members import Members
from agent.chain.route import ChainRoute, in_order
from agent.chain.settings import ChainSettings
from tests import virtual_time

from .chain_fakes import a_route

WAITS = ChainSettings(probe_after_s=2.0, probe_longest_s=10.0)


def failed(route: ChainRoute[Any], times: int = 1) -> None:
    for _ in range(times):
        assert route.begin()
        route.failed(APIConnectionError())


def states(state: str) -> float:
    labels = {"stage": "llm", "route": "p:states", "state": state}
    return REGISTRY.get_sample_value("parley_route_states_total", labels) or 0.0


def run(main: Callable[[list[ChainRoute[str]], LocalBoard], Any]) -> None:
    """Call a test with two routes, on virtual time."""

    async def inside() -> None:
        board = LocalBoard(clock=asyncio.get_running_loop().time)
        await main([a_route("llm", f"p:{n}", f"plugin {n}", board=board) for n in "ab"], board)

    virtual_time.run(inside())


def test_a_route_that_failed_once_is_asked_last_and_one_that_keeps_failing_not_at_all() -> None:
    async def main(routes: list[ChainRoute[str]], _: LocalBoard) -> None:
        a, b = routes
        assert in_order(routes) == [a, b]
        failed(a)
        assert in_order(routes) == [b, a]
        failed(b)
        assert in_order(routes) == [a, b]
        failed(a, 4)
        assert in_order(routes) == [b]
        assert not a.begin()
        await asyncio.sleep(5.0)
        assert in_order(routes) == [a, b]  # half open
        assert a.begin()
        assert not a.begin()
        a.served()
        assert in_order(routes) == [a, b]
        assert a.available

    run(main)


def test_a_refusal_opens_no_breaker() -> None:
    async def main(routes: list[ChainRoute[str]], board: LocalBoard) -> None:
        a, b = routes
        for _ in range(10):
            assert a.begin()
            a.failed(APIStatusError("no", status_code=401))
        assert in_order(routes) == [b, a]
        for _ in range(5):
            a.failed(APIStatusError("later", status_code=429))
        assert in_order(routes) == [b]
        assert board.is_down(a.key)

    run(main)


def test_workers_hear_of_an_open_breaker_and_that_it_has_closed() -> None:
    async def main(routes: list[ChainRoute[str]], board: LocalBoard) -> None:
        a, b = routes
        elsewhere = a_route("llm", "p:a", "plugin", board=board)
        told: list[tuple[str, bool]] = []
        end = board.subscribe(lambda route, down: told.append((route, down)))
        failed(a, 4)
        assert elsewhere.available
        failed(a)
        assert not elsewhere.available
        assert in_order([elsewhere, b]) == [b, elsewhere]  # hearsay: last, but asked
        await asyncio.sleep(5.0)
        assert elsewhere.available
        assert a.begin()
        a.served()
        assert told == [("llm p:a", True), ("llm p:a", False)]
        end()
        board.mark("llm p:a", down_s=1)
        assert len(told) == 2

    run(main)


def test_each_change_is_one_metric_and_one_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="parley.route")
    names = ("down", "open", "half_open", "closed", "up")
    before = {name: states(name) for name in names}

    async def main() -> None:
        route = a_route("llm", "p:states", "plugin")
        failed(route, 5)
        route.failed(APIConnectionError())  # began before it opened
        await asyncio.sleep(5.0)
        assert route.begin()
        route.served()
        route.served()

    virtual_time.run(main())
    assert {name: states(name) - before[name] for name in names} == dict.fromkeys(names, 1.0)
    told = [record.__dict__ for record in caplog.records if record.message == "route"]
    assert [t["state"] for t in told] == list(names)
    assert {t["route"] for t in told} == {"p:states"}


def test_probes_come_after_longer_and_longer_times_and_end_with_the_first_that_goes_well() -> None:
    async def main(routes: list[ChainRoute[str]], _: LocalBoard) -> None:
        loop = asyncio.get_running_loop()
        began, probed = loop.time(), list[float]()

        async def probe(plugin: str, __: float) -> None:
            assert plugin == "plugin a"
            probed.append(round(loop.time() - began))
            if len(probed) < 4:
                raise APIConnectionError

        members = Members(routes, waits=WAITS, probe=probe)
        assert routes[0].begin()
        members.failed(routes[0], APIConnectionError())
        assert members.first is routes[1]
        await asyncio.sleep(120)
        assert probed == [2, 6, 14, 30]
        assert members.first is routes[0]
        await members.aclose()

    run(main)


def test_a_probe_that_hangs_is_a_failure_and_closing_ends_it() -> None:
    async def main(routes: list[ChainRoute[str]], _: LocalBoard) -> None:
        async def probe(__: str, ___: float) -> None:
            await asyncio.sleep(1_000)

        members = Members(routes, waits=WAITS, probe=probe)
        assert routes[0].begin()
        members.failed(routes[0], APIConnectionError())
        await asyncio.sleep(WAITS.probe_after_s + WAITS.probe_s + 0.1)
        assert routes[0].hold.failures == 2
        await asyncio.sleep(2 * WAITS.probe_after_s + 0.1)
        await members.aclose()
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_what_another_worker_found_well_is_used_again_without_a_probe() -> None:
    async def main(routes: list[ChainRoute[str]], board: LocalBoard) -> None:
        async def probe(__: str, ___: float) -> None:
            raise AssertionError("probed")

        members = Members(routes, waits=WAITS, probe=probe)
        assert routes[0].begin()
        members.failed(routes[0], APIConnectionError())
        board.mark("llm p:b", down_s=0)
        assert members.first is routes[1]
        board.mark("llm p:a", down_s=0)
        assert members.first is routes[0]
        await asyncio.sleep(60)
        await members.aclose()
        board.mark("llm p:a", down_s=0)  # nobody listens any more

    run(main)


def test_a_route_alone_is_never_probed() -> None:
    async def main(routes: list[ChainRoute[str]], _: LocalBoard) -> None:
        async def probe(__: str, ___: float) -> None:
            raise AssertionError("probed")

        members = Members(routes[:1], waits=WAITS, probe=probe)
        assert members.only is routes[0]
        members.failed(routes[0], APIConnectionError())
        assert len(asyncio.all_tasks()) == 1

    run(main)
