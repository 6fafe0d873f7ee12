"""A hedged request in a call: one answer is heard, one tool runs, and what it cost is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit.agents.voice.run_result import RunResult
from pydantic import SecretStr

from agent.config import Settings, load_settings
from agent.guard.hedge import Hedge, HedgedStart
from agent.guard.settings import HedgeBudget, TurnBudget
from agent.observe.hedges import HedgeLedger
from agent.providers import build_llm
from gateway.config import BrainConfig
from gateway.server import Gateway
from tests.wire.gateway_harness import serving

from .call import Call, call
from .test_effects import USUAL, CountingStore, orders, said

ALWAYS = HedgeBudget(share=1.0, floor=100)
FAST = BrainConfig(first_token_ms=0, words_per_s=200.0)
ROUTES = ("local:brain", "aigateway:local/brain")


@dataclass
class Hedged:
    """A call over two gateways, the second of which is asked as well when the first is slow."""

    call: Call
    primary: Gateway
    other: Gateway
    ledger: HedgeLedger
    hedges: list[Hedge]

    async def ask(self, text: str) -> str:
        return said(await self.call.session.run(user_input=text))

    @property
    def requests(self) -> int:
        return sum(gateway.stats.stages["llm"].opened for gateway in (self.primary, self.other))


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "store.db")


@asynccontextmanager
async def hedged(
    store: CountingStore, *, hedge_s: float = 0.15, hedging: HedgeBudget = ALWAYS
) -> AsyncIterator[Hedged]:
    async with serving(brain=FAST) as (primary, _), serving(brain=FAST) as (other, _):
        starter = HedgedStart(budget=TurnBudget(hedge_s=hedge_s, switch_s=4.0), hedging=hedging)
        ledger, hedges = HedgeLedger(), list[Hedge]()
        starter.subscribe(ledger.hedged)
        starter.subscribe(hedges.append)
        model = build_llm(_settings(primary, other), starter=starter)
        model.on("metrics_collected", ledger.used)
        async with call(primary.url, store=store, voice=False, model=model) as it:
            yield Hedged(it, primary, other, ledger, hedges)


def _settings(primary: Gateway, other: Gateway) -> Settings:
    return load_settings().model_copy(
        update={
            "llm": ",".join(ROUTES),
            "local_gateway_url": primary.url,
            "aigateway_base_url": other.url,
            "aigateway_api_key": SecretStr("key"),
        }
    )


def stalled(ms: int, **fields: Any) -> dict[str, Any]:
    return {"stage": "llm", "do": "stall", "ms": ms} | fields


async def test_the_slow_route_s_answer_is_never_read(store: CountingStore, tmp_path: Path) -> None:
    async with hedged(store) as it:
        it.primary.faults.set([stalled(3000, connection=1)])
        text = await it.ask("What is the status of my order? It is peter@example.com.")
        assert text.count("desk lamp") == 1
        assert it.hedges[0] == Hedge(winner=ROUTES[1], losers=(ROUTES[0],))
        assert store.asked == 0
        assert it.ledger.requests == len(it.hedges)
        assert it.ledger.tokens > 100, "a prompt at least"
        assert [usage.model for usage in it.ledger.usage()] == ["local/brain"]


async def test_a_tool_that_both_routes_call_runs_once(store: CountingStore, tmp_path: Path) -> None:
    """Both answers are a call of the tool, and most of them come at about the same moment."""
    lates_ms = [102, 104, 106, 108, 110, 112, 115, 120, 130, 140, 160, 600]
    async with hedged(store, hedge_s=0.1) as it:
        for late_ms in lates_ms:
            # the first request calls the tool, the second tells of it
            it.primary.faults.set([stalled(late_ms, connection=[1, 2])])
            assert (await it.ask(USUAL)).count("croissant") == 1
        # who wins a close race is chance; nobody else than the second route wins the last one
        assert it.hedges[-1] == Hedge(winner=ROUTES[1], losers=(ROUTES[0],))
    assert store.asked == len(lates_ms)
    assert orders(tmp_path) == len(lates_ms)


async def test_an_interruption_of_a_race_leaves_no_effect_and_no_request(
    store: CountingStore, tmp_path: Path
) -> None:
    async with hedged(store, hedge_s=0.05) as it:
        for gateway in (it.primary, it.other):
            gateway.faults.set([stalled(5000, connection=1)])
        run: RunResult[Any] = it.call.session.run(user_input=USUAL)
        async with asyncio.timeout(10):
            while it.requests < 2:
                await asyncio.sleep(0.01)
        await it.call.session.interrupt(force=True)
        _ = await run
        async with asyncio.timeout(10):
            while any(g.stats.stages["llm"].open for g in (it.primary, it.other)):
                await asyncio.sleep(0.01)
        assert orders(tmp_path) == 0
        it.primary.faults.clear()
        it.other.faults.clear()
        assert "croissant" in await it.ask(USUAL)
    assert orders(tmp_path) == 1


async def test_what_a_budget_does_not_allow_is_not_hedged(store: CountingStore) -> None:
    async with hedged(store, hedging=HedgeBudget(share=0.0, floor=0)) as it:
        it.primary.faults.set([stalled(400)])
        assert await it.ask("Tell me a joke")
        assert it.hedges == []
        assert it.other.stats.stages["llm"].opened == 0
