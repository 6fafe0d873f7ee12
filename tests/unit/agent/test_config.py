from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import ConfigError, Settings, load_settings, require_keys
from agent.routes import Route, RouteError, parse_chain

CANARY = "canary-4711"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields.values():
        if field.alias:
            monkeypatch.delenv(field.alias, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_gateway() -> None:
    settings = load_settings()
    assert settings.stt_routes == [Route("aigateway", "deepgram/nova-3")]
    assert settings.tts_routes == [Route("aigateway", "elevenlabs/eleven-turbo-v3", "rachel")]
    assert settings.uses_dev_credentials()


def test_dot_env_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("AGENT_NAME=from-file\nAGENT_MAX_CALLS=3\n")
    monkeypatch.setenv("AGENT_NAME", "from-environment")
    settings = load_settings()
    assert (settings.agent_name, settings.max_calls) == ("from-environment", 3)


def test_turn_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TURN_LIKELY_S", "0.6")
    assert load_settings().turn.likely_s == 0.6


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENT_STT", "nobody:model"),
        ("AGENT_STT", "aigateway"),
        ("AGENT_TTS", " , "),
        ("AGENT_MAX_CALLS", "many"),
        ("AGENT_VAD", "other"),
    ],
)
def test_a_bad_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable):
        load_settings()


def test_an_interruption_of_no_length_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TURN_MIN_INTERRUPTION_S", "0")
    with pytest.raises(ConfigError):
        load_settings()


def test_missing_keys_are_named_with_a_way_on() -> None:
    with pytest.raises(ConfigError) as caught:
        require_keys(load_settings())
    assert "AIGATEWAY_API_KEY" in str(caught.value)
    assert "make demo" in str(caught.value)


def test_fallbacks_need_their_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGATEWAY_API_KEY", CANARY)
    monkeypatch.setenv("AGENT_TTS", "aigateway:elevenlabs/eleven-turbo-v3,deepgram:aura-2")
    with pytest.raises(ConfigError, match="DEEPGRAM_API_KEY") as caught:
        require_keys(load_settings())
    assert "AIGATEWAY_API_KEY" not in str(caught.value)


def test_local_routes_need_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage, route in {"STT": "whisper-tiny.en", "LLM": "brain", "TTS": "piper-joe"}.items():
        monkeypatch.setenv(f"AGENT_{stage}", f"local:{route}")
    require_keys(load_settings())


def test_secrets_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGATEWAY_API_KEY", CANARY)
    monkeypatch.setenv("LIVEKIT_API_SECRET", CANARY)
    settings = load_settings()
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump_json()}"
    monkeypatch.setenv("AGENT_MAX_CALLS", CANARY)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert CANARY not in f"{caught.value!r}"


def test_chains() -> None:
    assert parse_chain("aigateway:m/x:v, openai:gpt") == [
        Route("aigateway", "m/x", "v"),
        Route("openai", "gpt"),
    ]
    assert str(Route("aigateway", "m/x", "v")) == "aigateway:m/x:v"
    with pytest.raises(RouteError, match="empty"):
        parse_chain("")
