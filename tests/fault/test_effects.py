"""An effect happens once, whatever ends the reply that was to tell of it."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import llm
from livekit.agents.metrics import LLMMetrics

from agent.tools.store import EffectRequest, Result, Store
from gateway.config import BrainConfig, SimConfig
from tests.wire.gateway_harness import serving, silence, tone

from .call import Call, call

SEED = 20
USUAL = "order the usual please"
WORD_MS = 60


class CountingStore(Store):
    """Counts how often a tool asked for its effect, granted or not."""

    asked = 0

    async def once(
        self, request: EffectRequest, effect: Callable[[sqlite3.Connection], Result]
    ) -> Result:
        self.asked += 1
        return await super().once(request, effect)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "store.db")


def orders(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "store.db")) as db:
        query = "SELECT COUNT(*) FROM orders WHERE item LIKE '%croissant%'"
        count: int = db.execute(query).fetchone()[0]
    return count


def said(run: Any) -> str:
    return " ".join(
        event.item.text_content or ""
        for event in run.events
        if event.type == "message" and event.item.role == "assistant"
    )


DEATHS: dict[str, dict[str, Any]] = {
    "status": {"do": "http_status", "status": 503, "connection": [2, 3, 4, 5]},
    "reset": {"do": "reset", "connection": [2, 3, 4, 5]},
    "truncated at once": {"do": "truncate", "connection": [2, 3, 4, 5]},
    "broken off": {"do": "close", "connection": 2, "at": {"word": 4}},
    "rejected": {"do": "http_status", "status": 400, "connection": 2},
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
async def test_F26_model_dies_after_the_tool_ran_and_the_tool_ran_once(
    death: dict[str, Any], store: CountingStore, tmp_path: Path
) -> None:
    async with (
        serving(brain=BrainConfig(first_token_ms=0, words_per_s=200.0)) as (gateway, _),
        call(gateway.url, store=store, voice=False) as it,
    ):
        gateway.faults.set([{"stage": "llm"} | death])
        failed = said(await it.session.run(user_input=USUAL))
        assert gateway.faults.fired(death["do"]) >= 1
        assert "Sorry" in failed
        assert orders(tmp_path) == 1
        gateway.faults.clear()
        again = said(await it.session.run(user_input=USUAL))
        assert "coffee" in again
    assert store.asked == 2
    assert orders(tmp_path) == 1


async def test_F26_who_hears_that_it_is_done_and_asks_again_gets_another(
    store: CountingStore, tmp_path: Path
) -> None:
    async with (
        serving(brain=BrainConfig(first_token_ms=0, words_per_s=200.0)) as (gateway, _),
        call(gateway.url, store=store, voice=False) as it,
    ):
        for count in (1, 2):
            assert "coffee" in said(await it.session.run(user_input=USUAL))
            assert orders(tmp_path) == count


@pytest.fixture
def spoken_usual(tmp_path: Path) -> SimConfig:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"utterances": [{"text": USUAL, "word_ms": WORD_MS}]}))
    return SimConfig(
        script=script,
        tts_connect_ms=0,
        tts_first_audio_ms=20,
        tts_char_ms=60,
        stt_partial_interval_ms=50,
    )


async def ask_and_interrupt(it: Call, after_s: float) -> None:
    """Say it, and cut the agent off so long after the beginning of the words."""
    it.mouth.say(tone(len(USUAL.split()) * WORD_MS / 1000))
    await asyncio.sleep(after_s)
    await it.session.interrupt(force=True)


async def test_twenty_random_interruptions_exactly_one_order(
    spoken_usual: SimConfig, store: CountingStore, tmp_path: Path
) -> None:
    """The last reply is interrupted too: only a new worker is heard out to the end."""
    rng = random.Random(SEED)
    points = [rng.uniform(0.1, 0.9) for _ in range(20)]
    print("seed", SEED)  # noqa: T201 - shown when the test fails
    brain = BrainConfig(first_token_ms=30)
    async with serving(sim=spoken_usual, brain=brain) as (gateway, _):
        async with call(gateway.url, store=store) as it:
            requests: list[LLMMetrics] = []
            model = it.session.llm
            assert isinstance(model, llm.LLM)
            model.on("metrics_collected", requests.append)
            for point in points:
                await ask_and_interrupt(it, point)
            await it.session.interrupt(force=True)
        assert it.ear.sounds, "no reply was ever begun: the interruptions met nothing"
        assert store.asked >= 3, "the tool was hardly asked: the ledger was not tried"
        assert any(metric.cancelled for metric in requests)
        assert orders(tmp_path) == 1

        async with call(gateway.url, store=store) as it:  # the worker that takes over
            asked = store.asked
            it.mouth.say(tone(len(USUAL.split()) * WORD_MS / 1000) + silence(0.1))
            async with asyncio.timeout(20):
                while not await heard_of_it(tmp_path):
                    await asyncio.sleep(0.05)
        assert store.asked > asked
    assert orders(tmp_path) == 1


async def heard_of_it(tmp_path: Path) -> bool:
    """Whether the ledger says that the caller has heard of the effect."""

    def look() -> bool:
        with closing(sqlite3.connect(tmp_path / "store.db")) as db:
            query = "SELECT COUNT(*) FROM effects WHERE reported = 1"
            count: int = db.execute(query).fetchone()[0]
            return count > 0

    return await asyncio.to_thread(look)
