"""Several keys against the local gateway: each stage goes on with the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, llm
from livekit.plugins import aigateway, gateflow
from livekit.plugins.gatewaykit.errors import PacedOutError
from livekit.plugins.gatewaykit.faults import FaultKind
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.pacing import FileSlots, Pacer, Pacing

from agent.config import load_settings
from agent.keyrings import key_ring
from agent.providers import make_llm, make_tts
from gateway.config import SimConfig

from .gateway_harness import serving
from .vendors import frames, speak, spoken

FAST = SimConfig(
    tts_connect_ms=0,
    tts_first_audio_ms=0,
    tts_realtime_factor=1_000,
    llm_first_token_ms=0,
    llm_tokens_per_s=10_000,
)
SIM = {"stt": "sim/stt", "llm": "sim/llm", "tts": "sim/tts"}
KEYS = "canary-key-one,canary-key-two"
TRY_ONCE = APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=3.0)
Use = Callable[[dict[str, Any]], Awaitable[Any]]


async def _answer(model: llm.LLM[Any], options: APIConnectOptions = TRY_ONCE) -> str:
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="user", content="Where is my order?")
    said = ""
    async with model.chat(chat_ctx=ctx, conn_options=options) as stream:
        async for chunk in stream:
            said += (chunk.delta.content or "") if chunk.delta else ""
    return said


async def _think(plugin: llm.LLM[Any]) -> Any:
    assert await _answer(plugin)
    return plugin


async def _llm_aigateway(access: dict[str, Any]) -> Any:
    return await _think(aigateway.LLM(model="sim/llm", **_without_session(access)))


async def _llm_gateflow(access: dict[str, Any]) -> Any:
    return await _think(gateflow.LLM(model="sim/llm", **_without_session(access)))


async def _tts_aigateway(access: dict[str, Any]) -> Any:
    plugin = aigateway.TTS(model="sim/tts", **access)
    assert await speak(plugin)
    return plugin


async def _tts_gateflow(access: dict[str, Any]) -> Any:
    plugin = gateflow.TTS(model="sim/tts", **access)
    assert await speak(plugin)
    return plugin


async def _stt_aigateway(access: dict[str, Any]) -> Any:
    plugin = aigateway.STT(model="sim/stt", **access)
    async with plugin.stream(conn_options=TRY_ONCE) as stream:
        for frame in frames(spoken(0.5)):
            stream.push_frame(frame)
        stream.end_input()
        assert [event async for event in stream if event.alternatives]
    return plugin


async def _stt_batch(access: dict[str, Any]) -> Any:
    plugin = aigateway.STT(model="sim/stt", **access)
    await plugin.recognize(frames(spoken(0.5)), conn_options=TRY_ONCE)
    return plugin


async def _stt_gateflow(access: dict[str, Any]) -> Any:
    plugin = gateflow.STT(model="sim/stt", **access)
    await plugin.recognize(frames(spoken(0.5)), conn_options=TRY_ONCE)
    return plugin


def _without_session(access: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in access.items() if name != "http_session"}


STAGES: list[tuple[str, Use]] = [
    ("llm", _llm_aigateway),
    ("llm", _llm_gateflow),
    ("tts", _tts_aigateway),
    ("tts", _tts_gateflow),
    ("stt", _stt_aigateway),
    ("stt", _stt_batch),
    ("stt", _stt_gateflow),
]


@pytest.mark.parametrize(("stage", "use"), STAGES, ids=[use.__name__[1:] for _, use in STAGES])
@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, "rejected"), (402, "rejected"), (403, "rejected"), (429, "rate_limited")],
)
async def test_a_refused_key_makes_way_within_one_attempt(
    stage: str, use: Use, status: int, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(sim=FAST, stand_ins=SIM, template=SIM) as (gateway, http):
        refusal = {"stage": stage, "do": "http_status", "key": 1, "status": status}
        gateway.faults.set([refusal], seed=1)
        ring = KeyRing(KEYS.split(","), provider="Some gateway")
        access = {"base_url": gateway.url, "api_key": ring, "http_session": http}
        for _ in range(2):
            plugin = await use(access)
            counts = dict(plugin.faults.counts)
            await plugin.aclose()
            # the first request met the refusal and healed it; the second knew of it
            assert counts in ({fault: 1}, {})
        assert gateway.faults.fired("http_status") == 1
    shown = f"{vars(plugin)} {caplog.text} {[r.__dict__ for r in caplog.records]}"
    assert "canary" not in shown


@pytest.mark.parametrize("code", [4401, 4429])
async def test_a_key_refused_on_an_open_socket_makes_way_too(code: int) -> None:
    """The words that were in flight are not lost: the audio is sent again under the other key."""
    async with serving(sim=FAST) as (gateway, http):
        cut = {"stage": "stt", "do": "close", "key": 1, "code": code, "at": {"byte": 8000}}
        gateway.faults.set([cut], seed=1)
        plugin = aigateway.STT(
            model="sim/stt", base_url=gateway.url, api_key=KEYS, http_session=http
        )
        options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=3.0)
        async with plugin.stream(conn_options=options) as stream:
            for frame in frames(spoken(0.5)):
                stream.push_frame(frame)
            stream.end_input()
            finals = [event async for event in stream if event.type.value == "final_transcript"]
        assert len(finals) == 1
        assert gateway.faults.fired("close") == 1
        await plugin.aclose()


async def test_without_another_key_nothing_is_asked_twice() -> None:
    async with serving(sim=FAST) as (gateway, _):
        gateway.faults.set([{"stage": "llm", "do": "http_status", "status": 401}])
        plugin = aigateway.LLM(model="sim/llm", base_url=gateway.url, api_key="one")
        errors: list[Any] = []
        plugin.on("error", errors.append)
        with pytest.raises(APIStatusError):
            await _answer(plugin, APIConnectOptions(max_retry=3, retry_interval=0, timeout=3))
        assert plugin.stats.requests == len(errors) == 1
        gateway.faults.set([{"stage": "llm", "do": "http_status", "status": 429}])
        with pytest.raises(APIError):
            await _answer(plugin, APIConnectOptions(max_retry=2, retry_interval=0, timeout=3))
        assert plugin.stats.requests == len(errors) == 4
        await plugin.aclose()


async def test_all_keys_limited_is_waited_for_as_the_gateway_says() -> None:
    async with serving(sim=FAST) as (gateway, _):
        limited = {"stage": "llm", "do": "http_status", "status": 429, "retry_after": "1"}
        gateway.faults.set([limited | {"connection": [1, 2]}])
        plugin = aigateway.LLM(model="sim/llm", base_url=gateway.url, api_key=KEYS)
        started = time.monotonic()
        options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=5.0)
        assert await _answer(plugin, options)
        assert time.monotonic() - started >= 1.0
        assert plugin.stats.requests == 3
        await plugin.aclose()


async def test_sessions_that_were_refused_together_do_not_come_back_together() -> None:
    """Twelve are told to come back in a second: nobody comes sooner, and they are spread."""
    async with serving(sim=FAST) as (gateway, _):
        limited = {"stage": "llm", "do": "http_status", "status": 429, "retry_after": "1"}
        gateway.faults.set([limited | {"connection": list(range(1, 13))}])
        plugins = [
            aigateway.LLM(model="sim/llm", base_url=gateway.url, api_key="one") for _ in range(12)
        ]
        options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=5.0)

        async def served_after(plugin: llm.LLM[Any]) -> float:
            started = time.monotonic()
            await _answer(plugin, options)
            return time.monotonic() - started

        waits = sorted(await asyncio.gather(*map(served_after, plugins)))
        await asyncio.gather(*(plugin.aclose() for plugin in plugins))
    assert waits[0] >= 1.0
    # of twelve uniform draws over a second all fall within a fifth once in 10 million runs
    assert waits[-1] - waits[0] > 0.2


@pytest.mark.parametrize("stage", ["stt", "tts"])
async def test_a_handshake_comes_back_when_it_was_told_to(stage: str) -> None:
    async with serving(sim=FAST) as (gateway, http):
        limited = {"stage": stage, "do": "http_status", "status": 429, "retry_after": "1"}
        gateway.faults.set([limited | {"connection": 1}])
        plugin = (aigateway.STT if stage == "stt" else aigateway.TTS)(
            model=f"sim/{stage}", base_url=gateway.url, api_key="one", http_session=http
        )
        started = time.monotonic()
        options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=5.0)
        if isinstance(plugin, aigateway.STT):
            async with plugin.stream(conn_options=options) as ears:
                ears.end_input()
                assert [event async for event in ears] == []
        else:
            async with plugin.stream(conn_options=options) as voice:
                voice.push_text("It is on its way.")
                voice.end_input()
                assert [event async for event in voice]
        assert time.monotonic() - started >= 1.0
        assert plugin.stats.connections >= 1
        assert plugin.faults.counts == {FaultKind.RATE_LIMITED: 1}
        await plugin.aclose()


async def test_requests_keep_to_the_pace_and_one_that_cannot_wait_is_told(tmp_path: Path) -> None:
    async with serving(sim=FAST) as (gateway, http):
        paced = Pacer(Pacing(requests_per_s=5, burst=2), slots=FileSlots(tmp_path / "pace"))
        ring = KeyRing(["one"], provider="Some gateway", pacer=paced)
        access: dict[str, Any] = {"base_url": gateway.url, "api_key": ring}
        model = aigateway.LLM(model="sim/llm", **access)
        voice = gateflow.TTS(model="sim/tts", http_session=http, **access)
        started = time.monotonic()
        for _ in range(3):
            assert await _answer(model)
        assert await speak(voice, "It is on its way.")
        assert time.monotonic() - started >= 0.4, "two leave at once, and the others 0.2 s apart"
        impatient = APIConnectOptions(max_retry=3, retry_interval=0.0, timeout=0.05)
        for _ in range(2):
            before = model.stats.requests
            with pytest.raises(PacedOutError):
                await _answer(model, impatient)
            assert model.stats.requests == before
        assert model.faults.counts[FaultKind.PACED_OUT] == 2
        await model.aclose()
        await voice.aclose()


async def test_the_stages_of_an_account_share_a_ring(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIGATEWAY_API_KEY", KEYS)
    monkeypatch.setenv("AIGATEWAY_REQUESTS_PER_S", "50")
    settings = load_settings()
    mind = make_llm(settings.llm_routes[0], settings)
    voice = make_tts(settings.tts_routes[0], settings)
    ring = key_ring("aigateway", settings)
    assert isinstance(mind, aigateway.LLM)
    assert isinstance(voice, aigateway.TTS)
    assert mind._keys is voice._opts.keys is ring
    assert len(ring) == 2
    assert ring.pacer is not None
    assert ring.pacer.requests_per_s == 50
    assert key_ring("local", settings) is not ring
    await mind.aclose()
    await voice.aclose()
