"""What a call costs."""

from __future__ import annotations

import pytest
from livekit.agents.metrics import (
    LLMMetrics,
    LLMModelUsage,
    ModelUsage,
    STTModelUsage,
    TTSModelUsage,
)

from agent.config import ConfigError, Price, load_settings
from agent.guard.hedge import Hedge
from agent.observe.cost import Cost, cost_of
from agent.observe.hedges import HedgedTurn, HedgeLedger

USAGE: list[ModelUsage] = [
    STTModelUsage(provider="p", model="ears", audio_duration=90),
    LLMModelUsage(
        provider="p", model="mind", input_tokens=3000, input_cached_tokens=1000, output_tokens=500
    ),
    TTSModelUsage(provider="p", model="voice", characters_count=2000),
]
PRICES = {
    "ears": Price(stt_minute=0.01),
    "mind": Price(llm_in_million=2, llm_cached_million=1, llm_out_million=10),
    "voice": Price(tts_million_chars=50),
}


def test_everything_used_is_priced() -> None:
    usd = 0.015 + (2000 * 2 + 1000 * 1 + 500 * 10) / 1e6 + 2000 * 50 / 1e6
    cost = cost_of(USAGE, PRICES)
    assert cost.usd == pytest.approx(usd)
    assert cost == Cost(usd=cost.usd, stt_s=90, llm_in=3000, llm_out=500, tts_chars=2000)


def test_cached_tokens_without_a_price_of_their_own_cost_what_others_do() -> None:
    prices = PRICES | {"mind": Price(llm_in_million=2, llm_out_million=10)}
    usd = cost_of(USAGE[1:2], prices).usd
    assert usd == pytest.approx((3000 * 2 + 500 * 10) / 1e6)


@pytest.mark.parametrize("unpriced", ["ears", "mind", "voice"])
def test_one_unknown_price_makes_the_sum_unknown(unpriced: str) -> None:
    prices = {name: price for name, price in PRICES.items() if name != unpriced}
    cost = cost_of(USAGE, prices)
    assert cost.usd is None
    assert cost.tts_chars == 2000


def test_the_local_engines_cost_nothing() -> None:
    local = [STTModelUsage(provider="p", model="local/whisper-tiny.en", audio_duration=60)]
    assert cost_of(local, {}).usd == 0


def test_a_hedge_costs_the_loser_s_prompt_at_the_loser_s_price() -> None:
    ledger = HedgeLedger()
    ledger.hedged(Hedge(winner="gateflow:mind", losers=("aigateway:dear/mind",)))
    assert cost_of(USAGE, PRICES, hedges=ledger).usd == cost_of(USAGE, PRICES).usd
    ledger.used(used(1000))
    assert ledger.take_turn() == HedgedTurn(requests=1, tokens=1000)
    ledger.used(used(1000))  # a request without a race
    ledger.hedged(Hedge(winner="", losers=("aigateway:dear/mind", "local:brain")))
    ledger.used(used(0))  # cancelled: it tells nothing
    ledger.used(used(500))
    assert ledger.take_turn() == HedgedTurn(requests=2, tokens=1000)
    assert ledger.take_turn() == HedgedTurn()
    plain = cost_of(USAGE, PRICES)
    assert cost_of(USAGE, PRICES, hedges=ledger).usd is None, "the loser has no price"
    prices = PRICES | {"dear/mind": Price(llm_in_million=20)}
    cost = cost_of(USAGE, prices, hedges=ledger)
    assert plain.usd is not None
    assert cost.usd == pytest.approx(plain.usd + 1500 * 20 / 1e6)
    assert (cost.hedged_requests, cost.hedged_tokens, cost.llm_in) == (3, 2000, 3000)


def used(prompt_tokens: int) -> LLMMetrics:
    return LLMMetrics(
        label="llm", request_id="r", timestamp=0.0, duration=1.0, ttft=0.5, cancelled=False,
        completion_tokens=7, prompt_tokens=prompt_tokens, prompt_cached_tokens=0,
        total_tokens=prompt_tokens + 7, tokens_per_second=7.0,
    )  # fmt: skip


def test_prices_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_PRICES", '{"deepgram/nova-3": {"stt_minute": 0.0077}}')
    assert load_settings().prices["deepgram/nova-3"].stt_minute == 0.0077


@pytest.mark.parametrize("prices", ['{"m": {"stt_hour": 1}}', '{"m": {"stt_minute": -1}}'])
def test_a_price_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, prices: str) -> None:
    monkeypatch.setenv("AGENT_PRICES", prices)
    with pytest.raises(ConfigError, match="AGENT_PRICES"):
        load_settings()
