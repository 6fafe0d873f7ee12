"""Nothing answers any more: the caller is told, and the call ends."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from agent.observe.events import GuardAction
from agent.speech.phrases import recorded_apology
from agent.tools.store import Store
from tests.wire.gateway_harness import eventually, serving, tone

from .call import call

DOWN: list[dict[str, Any]] = [
    {"stage": "stt", "do": "reset"},
    {"stage": "stt", "do": "refuse"},
    {"stage": "llm", "do": "refuse"},
    {"stage": "tts", "do": "reset"},
    {"stage": "tts", "do": "refuse"},
]
LONGEST_DEAD_AIR_S = 5.0
SPEECH_S = 1.0


def told(action: GuardAction) -> float:
    labels = {"action": action.value, "stage": "stt"}
    return REGISTRY.get_sample_value("parley_guard_actions_total", labels) or 0.0


async def test_F29_all_endpoints_down_is_said_from_disk_and_the_call_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="parley.guard")
    before = {action: told(action) for action in (GuardAction.CANNOT_HEAR, GuardAction.GIVE_UP)}
    async with (
        serving() as (gateway, _),
        call(gateway.url, store=Store(tmp_path / "store.db")) as it,
    ):
        await eventually(lambda: gateway.stats.stages["stt"].open)
        gateway.faults.set(DOWN)
        it.mouth.say(tone(SPEECH_S))
        spoken = asyncio.get_running_loop().time() + SPEECH_S
        await asyncio.wait_for(it.closed.wait(), 45)
        dead_air_s = it.dead_air_s(spoken)
    assert dead_air_s <= LONGEST_DEAD_AIR_S
    # no voice was ever reached: both sentences are the recording that comes with the package
    recorded_s = sum(frame.duration for frame in recorded_apology())
    assert it.ear.sounds[-1][1] - it.ear.sounds[0][0] > 1.5 * recorded_s
    events = [record.getMessage() for record in caplog.records]
    for action, count in before.items():
        assert told(action) - count == events.count(action.value) >= 1
    assert events.count(GuardAction.GIVE_UP.value) == 1
