"""Routes of the chains and of a realtime model, and what they need."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit.agents import inference
from livekit.plugins import aigateway, deepgram, elevenlabs, gateflow, openai

from agent import realtime
from agent.config import ConfigError, load_settings, require_keys
from agent.providers import build_llm, build_realtime, build_stt, make_llm, make_stt, make_tts
from agent.routes import RealtimeRoute, RouteError, parse_realtime
from agent.turns import load_vad

CANARY = "canary-of-more-than-thirty-two-characters-4711"
VENDORS = ("AIGATEWAY", "GATEFLOW", "DEEPGRAM", "OPENAI", "ELEVEN")


@pytest.fixture(autouse=True)
def _accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for vendor in VENDORS:
        monkeypatch.setenv(f"{vendor}_API_KEY", CANARY)
        monkeypatch.setenv(f"{vendor}_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LIVEKIT_INFERENCE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LIVEKIT_INFERENCE_API_KEY", "any")
    monkeypatch.setenv("LIVEKIT_INFERENCE_API_SECRET", CANARY)


@pytest.mark.parametrize(
    ("stage", "route", "kind"),
    [
        ("STT", "gateflow:whisper-1", gateflow.STT),
        ("STT", "deepgram:nova-3", deepgram.STT),
        ("STT", "openai:whisper-1", openai.STT),
        ("STT", "inference:deepgram/nova-3", inference.STT),
        ("STT", "local:whisper-tiny.en", aigateway.STT),
        ("LLM", "gateflow:gpt-5-mini", gateflow.LLM),
        ("LLM", "openai:gpt-4o-mini", openai.LLM),
        ("LLM", "inference:openai/gpt-4o-mini", inference.LLM),
        ("TTS", "gateflow:eleven_turbo_v2_5:friendly", gateflow.TTS),
        ("TTS", "deepgram:aura-2-andromeda-en", deepgram.TTS),
        ("TTS", "elevenlabs:eleven_turbo_v2_5", elevenlabs.TTS),
        ("TTS", "openai:gpt-4o-mini-tts", openai.TTS),
        ("TTS", "inference:cartesia/sonic-3", inference.TTS),
    ],
)
async def test_a_route_becomes_its_plugin(
    monkeypatch: pytest.MonkeyPatch, stage: str, route: str, kind: type
) -> None:
    monkeypatch.setenv(f"AGENT_{stage}", route)
    settings = load_settings()
    require_keys(settings)
    if stage == "STT":
        ears = make_stt(settings.stt_routes[0], settings, vad=load_vad(settings))
        assert isinstance(ears, kind)
    elif stage == "LLM":
        model = make_llm(settings.llm_routes[0], settings)
        assert isinstance(model, kind)
        await model.aclose()
    else:
        assert isinstance(make_tts(settings.tts_routes[0], settings), kind)


@pytest.mark.parametrize(
    ("stage", "route"),
    [("STT", "elevenlabs:scribe"), ("LLM", "deepgram:x"), ("LLM", "elevenlabs:x")],
)
def test_a_provider_without_that_stage_is_named(
    monkeypatch: pytest.MonkeyPatch, stage: str, route: str
) -> None:
    monkeypatch.setenv(f"AGENT_{stage}", route)
    settings = load_settings()
    with pytest.raises(ConfigError, match=f"AGENT_{stage}: {route.partition(':')[0]}"):
        build_stt(settings, vad=load_vad(settings)) if stage == "STT" else build_llm(settings)


def test_realtime_routes() -> None:
    assert parse_realtime("gateflow:voice-agent-fast") == RealtimeRoute(
        "gateflow", "voice-agent-fast", "websocket"
    )
    assert parse_realtime("gateflow:t:pipeline").transport == "pipeline"
    for text, message in {
        "gateflow": "provider:template",
        "aigateway:x": "no realtime model",
        "gateflow:t:smoke": "unknown transport 'smoke'",
    }.items():
        with pytest.raises(RouteError, match=message):
            parse_realtime(text)


@pytest.mark.parametrize(
    ("transport", "asked"), [("websocket", {"gateflow", "deepgram"}), ("pipeline", {"gateflow"})]
)
def test_a_realtime_model_needs_a_voice_and_on_a_socket_ears(
    monkeypatch: pytest.MonkeyPatch, transport: str, asked: set[str]
) -> None:
    monkeypatch.setenv("AGENT_REALTIME", f"gateflow:voice-agent-fast:{transport}")
    monkeypatch.setenv("AGENT_STT", "deepgram:nova-3")
    monkeypatch.setenv("AGENT_TTS", "gateflow:eleven_turbo_v2_5")
    monkeypatch.delenv("AIGATEWAY_API_KEY")  # of the language model, which nobody asks
    settings = load_settings()
    assert set(settings.providers) == asked
    require_keys(settings)
    monkeypatch.delenv("GATEFLOW_API_KEY")
    with pytest.raises(ConfigError, match="GATEFLOW_API_KEY"):
        require_keys(load_settings())


def test_a_pipeline_is_told_the_models_of_its_own_provider_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENT_REALTIME", "gateflow:voice-agent-fast:pipeline")
    monkeypatch.setenv("AGENT_TTS", "gateflow:eleven_turbo_v2_5:friendly")
    monkeypatch.setenv("AGENT_LLM_MAX_TOKENS", "100")
    settings = load_settings()
    assert settings.realtime_route
    model = build_realtime(settings.realtime_route, settings, vad=load_vad(settings))
    assert model._opts.members == {
        "llm": {"max_tokens": 100},
        "tts": {"model": "eleven_turbo_v2_5", "voice": "friendly"},
    }


def test_who_may_interrupt_is_not_ours_to_say_on_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_REALTIME", "gateflow:voice-agent-fast")
    monkeypatch.setenv("AGENT_ALLOW_INTERRUPT", "false")
    settings = load_settings()
    assert settings.realtime_route
    with pytest.raises(ConfigError, match="pipeline"):
        realtime.require_usable(settings.realtime_route, settings)
    monkeypatch.setenv("AGENT_REALTIME", "gateflow:voice-agent-fast:pipeline")
    settings = load_settings()
    assert settings.realtime_route
    realtime.require_usable(settings.realtime_route, settings)
    assert not realtime.turn_handling(settings)["interruption"]["enabled"]


@pytest.mark.parametrize(
    ("stt", "realtime", "set_s", "seconds"),
    [
        ("local:sim/stt", "", "0", 0.2),
        ("gateflow:whisper-1", "", "0", 2.0),  # its words come when the stretch is over
        ("local:sim/stt", "gateflow:voice-agent-fast:pipeline", "0", 2.0),
        ("gateflow:whisper-1", "", "0.5", 0.5),
    ],
)
def test_a_paused_reply_waits_as_long_as_words_take_to_come(
    monkeypatch: pytest.MonkeyPatch, stt: str, realtime: str, set_s: str, seconds: float
) -> None:
    monkeypatch.setenv("AGENT_STT", stt)
    monkeypatch.setenv("AGENT_REALTIME", realtime)
    monkeypatch.setenv("AGENT_TURN_FALSE_INTERRUPTION_TIMEOUT_S", set_s)
    assert load_settings().false_interruption_timeout_s == seconds


def test_opus_needs_a_dialect_that_can_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGATEWAY_STT_ENCODING", "opus")
    settings = load_settings()
    build_stt(settings, vad=load_vad(settings))
    monkeypatch.setenv("AIGATEWAY_DIALECT", "minimal")
    settings = load_settings()
    with pytest.raises(ConfigError, match="AIGATEWAY_DIALECT"):
        build_stt(settings, vad=load_vad(settings))


@pytest.mark.parametrize("value", ["nobody:x", "gateflow", "gateflow:t:smoke"])
def test_a_bad_realtime_route_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AGENT_REALTIME", value)
    with pytest.raises(ConfigError, match="AGENT_REALTIME"):
        load_settings()


def test_inference_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_LLM", "inference:openai/gpt-4o-mini")
    require_keys(load_settings())
    monkeypatch.delenv("LIVEKIT_INFERENCE_API_SECRET")
    with pytest.raises(ConfigError, match="LIVEKIT_INFERENCE_API_SECRET"):
        require_keys(load_settings())
