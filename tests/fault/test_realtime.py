"""Calls with a realtime model, without a room: turns, goodbyes, and a model that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, ConversationItemAddedEvent, llm
from livekit.agents.utils import http_context

from agent import realtime
from agent.assistant import CallState
from agent.config import load_settings
from agent.providers import build_realtime, build_stt, build_tts
from agent.speech.phrases import PhraseCache
from agent.tools.store import Store
from gateway.server import Gateway
from tests.sound_vad import SoundVad
from tests.wire.gateflow_harness import BRISK, SAID
from tests.wire.vendors import KEY, standing_in

from .call import Ear, Mouth

LATE_S = 20.0
PHRASE_S = 0.25
"""The shortest apology in the quick voice of these tests; a reply takes half of it."""
REPLY = "It is on its way."
SCRIPT = {
    "utterances": [
        {"text": "where is my order", "reply": REPLY},
        {"text": "goodbye", "reply": "See you soon."},
    ],
    "reply": "I did not understand that.",
}


@dataclass
class Call:
    """A call that is going on."""

    gateway: Gateway
    session: AgentSession[CallState]
    mouth: Mouth
    ear: Ear
    said: list[tuple[str, str]] = field(default_factory=list)
    """Role and words of each message."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def sound_s(self) -> float:
        return sum(end - start for start, end in self.ear.sounds)

    def note(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage):
            self.said.append((event.item.role, event.item.text_content or ""))

    async def until(self, role: str, words: str) -> None:
        try:
            async with asyncio.timeout(LATE_S):
                while (role, words) not in self.said:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{(role, words)} is not in {self.said}") from None


@contextlib.asynccontextmanager
async def call(
    transport: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *faults: dict[str, Any]
) -> AsyncIterator[Call]:
    """The agent, its realtime model over one of its transports, and what it says by itself."""
    # each request of a pipeline is a connection; a socket and the ears beside it are one each
    cursor = "gateway" if transport == "pipeline" else "connection"
    script = folder / "script.json"
    script.write_text(json.dumps(SCRIPT | {"cursor": cursor}))
    monkeypatch.setenv("AGENT_TURN_TURN_MODEL", "false")
    async with (
        standing_in(sim=replace(BRISK, script=script)) as (gateway, _),
        http_context.open(),
        contextlib.AsyncExitStack() as closing,
    ):
        gateway.faults.set(list(faults), seed=1)
        for name, value in {
            "GATEFLOW_BASE_URL": gateway.url,
            "GATEFLOW_API_KEY": KEY,
            "LOCAL_GATEWAY_URL": gateway.url,
            "GATEWAY_KEY": KEY,
            "AGENT_STT": "local:sim/stt",
            "AGENT_TTS": "gateflow:sim/tts",
            "AGENT_REALTIME": f"gateflow:voice-agent-fast:{transport}",
            "AGENT_REALTIME_GREETING": "Hi.",
            "AGENT_FAREWELL": "Bye.",
        }.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        route = settings.realtime_route
        assert route
        detector = SoundVad()
        plugins: list[Any] = [
            build_realtime(route, settings, vad=detector),
            build_tts(settings),
            *([build_stt(settings, vad=detector)] if transport == "websocket" else []),
        ]
        for plugin in plugins:
            closing.push_async_callback(plugin.aclose)
        session = AgentSession[CallState](
            llm=plugins[0],
            tts=plugins[1],
            vad=detector,
            turn_handling=realtime.turn_handling(settings),
            userdata=CallState(call_id="c", store=Store(folder / "store.db")),
            **({"stt": plugins[2]} if plugins[2:] else {}),
        )
        going_on = Call(gateway, session, Mouth(), Ear())
        session.on("conversation_item_added", going_on.note)
        session.on("close", lambda _: going_on.closed.set())
        session.input.audio, session.output.audio = going_on.mouth, going_on.ear
        closing.push_async_callback(session.aclose)
        phrases = PhraseCache(folder=folder, voice=settings.tts)
        await session.start(realtime.RealtimeAssistant(settings=settings, phrases=phrases))
        await going_on.until("assistant", "Hi.")
        yield going_on


@pytest.mark.parametrize("transport", ["websocket", "pipeline"])
async def test_a_question_is_answered_and_a_goodbye_ends_the_call(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with call(transport, tmp_path, monkeypatch) as going_on:
        going_on.mouth.say(SAID)
        await going_on.until("user", "where is my order")
        await going_on.until("assistant", REPLY)
        assert not going_on.closed.is_set()
        going_on.mouth.say(SAID)
        await going_on.until("user", "goodbye")
        async with asyncio.timeout(LATE_S):
            await going_on.closed.wait()
        assert ("assistant", "See you soon.") in going_on.said
    assert going_on.ear.sounds


@pytest.mark.parametrize("transport", ["websocket", "pipeline"])
async def test_a_model_that_is_refused_for_good_ends_the_call_with_words(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"stage": "realtime", "do": "http_status", "status": 401}
    async with call(transport, tmp_path, monkeypatch, refused) as going_on:
        if transport == "pipeline":  # a socket is refused before anybody has spoken
            going_on.mouth.say(SAID)
        async with asyncio.timeout(LATE_S):
            await going_on.closed.wait()
        assert going_on.sound_s > PHRASE_S, "it said goodbye"


async def test_a_turn_that_fails_is_apologised_for_and_the_next_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"stage": "realtime", "do": "close", "at": {"word": 2}, "limit": 1}
    async with call("pipeline", tmp_path, monkeypatch, broken) as going_on:
        going_on.mouth.say(SAID)
        await going_on.until("user", "where is my order")
        heard_before = going_on.sound_s
        async with asyncio.timeout(LATE_S):
            while going_on.sound_s < heard_before + PHRASE_S:
                await asyncio.sleep(0.02)
        assert not going_on.closed.is_set()
        going_on.mouth.say(SAID)
        await going_on.until("assistant", "See you soon.")
