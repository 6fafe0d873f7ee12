"""A question over every profile of the chains, without a room: heard, looked up and answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from livekit.agents import llm

from agent.tools.store import Store
from tests.profiles import PROFILES
from tests.wire.gateflow_harness import FAST, SAID
from tests.wire.vendors import KEY, LOCAL, SIM, standing_in

from .call import call

LATE_S = 20.0
QUESTION = "where is my order my email is peter at example dot com"


@pytest.mark.parametrize("name", [n for n, profile in PROFILES.items() if profile.has_tools])
async def test_a_question_is_heard_and_answered_with_a_tool(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"utterances": [{"text": QUESTION}], "reply": "What?"}))
    sim = replace(FAST, script=script, tts_char_ms=40)  # as fast as speech can be
    async with standing_in(sim=sim, stand_ins={**SIM, "llm": LOCAL["llm"]}) as (gateway, _):
        for variable, value in PROFILES[name].env(gateway.url, KEY).items():
            monkeypatch.setenv(variable, value)
        async with call(gateway.url, store=Store(tmp_path / "store.db")) as going_on:
            going_on.mouth.say(SAID)
            async with asyncio.timeout(LATE_S):
                while "desk lamp" not in last_words(going_on.session.history):
                    await asyncio.sleep(0.02)
            assert going_on.ear.sounds
        assert gateway.stats.stages["stt"].opened >= 1
        assert gateway.stats.stages["tts"].opened >= 1


def last_words(history: llm.ChatContext) -> str:
    """What the agent said last."""
    said = [m.text_content or "" for m in history.messages() if m.role == "assistant"]
    return said[-1] if said else ""
