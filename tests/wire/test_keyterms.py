"""Words to expect reach the recogniser: those of the settings, and names that a tool has found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit.agents import AgentSession, STTContextOptions, stt
from livekit.plugins import aigateway, deepgram
from multidict import MultiMapping

import gateway.stages.stt as stt_stage
from agent.assistant import Assistant, CallState
from agent.config import Settings
from agent.keyterms import MAX_KEYTERMS, expect_names
from agent.speech.phrases import PhraseCache
from agent.tools.store import Store
from agent.turns import TurnDetector
from gateway.server import Gateway

from .gateway_harness import eventually
from .vendors import KEY, LOCAL, standing_in

Ears = Callable[[Gateway, aiohttp.ClientSession], stt.STT[Any]]


def deepgram_ears(gateway: Gateway, http: aiohttp.ClientSession) -> stt.STT[Any]:
    return deepgram.STT(
        model="nova-3", api_key=KEY, base_url=f"{gateway.url}/listen", http_session=http
    )


def aigateway_ears(gateway: Gateway, http: aiohttp.ClientSession) -> stt.STT[Any]:
    return aigateway.STT(api_key=KEY, base_url=gateway.url, http_session=http)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The key terms of each connection to the gateway's recogniser."""
    connections: list[list[str]] = []

    def noting(decode: Callable[[Any], Any]) -> Callable[[MultiMapping[str]], Any]:
        def decode_and_note(query: MultiMapping[str]) -> Any:
            connections.append(query.getall("keyterm", []))
            return decode(query)

        return decode_and_note

    for name in ("decode_listen_query", "decode_stt_query"):
        monkeypatch.setattr(stt_stage, name, noting(getattr(stt_stage, name)))
    return connections


@pytest.mark.parametrize("ears", [deepgram_ears, aigateway_ears])
async def test_names_that_a_tool_finds_are_expected_from_then_on(
    ears: Ears, asked: list[list[str]], tmp_path: Path
) -> None:
    settings = Settings(phrases_path=tmp_path, store_path=tmp_path / "store.db")
    options = {**LOCAL, "stt": "sim/stt"}
    async with standing_in(stand_ins=options) as (gateway, http):
        model = aigateway.LLM(model="local/brain", api_key=KEY, base_url=gateway.url)
        engine = ears(gateway, http)
        session = AgentSession[CallState](
            stt=engine,
            llm=model,
            vad=None,
            turn_handling={"turn_detection": None},
            stt_context_options=STTContextOptions(keyterms=["Parley"]),
            userdata=CallState(call_id="c", store=Store(settings.store_path)),
        )
        assistant = Assistant(
            settings=settings,
            model=model,
            phrases=PhraseCache(folder=tmp_path, voice="v"),
            turns=TurnDetector(settings=settings.turn),
        )
        async with model, session:
            await session.start(assistant)
            await eventually(lambda: asked and asked[-1] == ["Parley"])
            _ = await session.run(user_input="Where is my order? My email is peter@example.com.")
            await eventually(lambda: asked[-1] == ["Parley", "desk lamp"])
            connections = len(asked)
            _ = await session.run(user_input="Where is my order?")
            assert len(asked) == connections, "names known already are no reason to reconnect"
        await engine.aclose()


def test_terms_are_bounded_and_the_newest_stay() -> None:
    session = AgentSession[None](vad=None)
    for number in range(MAX_KEYTERMS + 5):
        expect_names(session, {"item": f"lamp {number}", "status": "shipped"})
    assert len(session.keyterms) == MAX_KEYTERMS
    assert session.keyterms[-1] == f"lamp {MAX_KEYTERMS + 4}"
    expect_names(session, {"error": "nothing found"})
    assert session.keyterms[-1] == f"lamp {MAX_KEYTERMS + 4}"
