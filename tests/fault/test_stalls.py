"""A voice that stalls again and again in the middle of a reply."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from agent.config import load_settings
from agent.tools.store import Store
from tests.wire.gateflow_harness import FAST
from tests.wire.gateway_harness import eventually, serving

from .call import call

REPLY = "Your lamp left the warehouse this morning and it comes to your door on Monday at noon."
STALLS: list[dict[str, Any]] = [
    {"stage": "tts", "do": "half_open", "connection": 1, "at": {"word": 9}},
    {"stage": "tts", "do": "half_open", "connection": [2, 3], "at": {"message": 1}},
]
LONGEST_DEAD_AIR_S = 5.0
LATE_S = 40.0


async def test_F18_three_stalls_in_one_reply_are_never_five_seconds_of_dead_air(
    tmp_path: Path,
) -> None:
    before = fillers()
    async with (
        serving(sim=FAST) as (gateway, _),
        call(gateway.url, store=Store(tmp_path / "store.db")) as it,
    ):
        phrases = it.assistant._phrases
        async with asyncio.timeout(LATE_S):
            while phrases._tasks:  # they have the same voice
                await asyncio.sleep(0.02)
        assert phrases.get(load_settings().guard.filler)
        await eventually(lambda: gateway.stats.stages["tts"].open == 1)  # the warm socket
        gateway.faults.set(STALLS)
        speech = it.session.say(REPLY)
        await asyncio.wait_for(speech.wait_for_playout(), LATE_S)
        assert gateway.faults.fired("half_open") == 3
        assert it.dead_air_s(it.ear.sounds[0][0]) <= LONGEST_DEAD_AIR_S
    assert fillers() > before


def fillers() -> float:
    labels = {"action": "filler", "stage": "tts"}
    return REGISTRY.get_sample_value("parley_guard_actions_total", labels) or 0.0
