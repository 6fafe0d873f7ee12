from __future__ import annotations

from typing import Any

import pytest

from gateway.config import (
    BrainConfig,
    GatewayConfig,
    Limits,
    SimConfig,
    SttConfig,
    TtsConfig,
    UpstreamConfig,
)
from gateway.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Limits, "max_json_depth", 0),
        (SttConfig, "endpointing_ms", 0),
        (SttConfig, "vad_threshold", 1.0),
        (TtsConfig, "cpu_threads", 0),
        (BrainConfig, "words_per_s", 0.0),
        (BrainConfig, "first_token_ms", -1),
        (SimConfig, "stt_final_ms", 0),
        (SimConfig, "llm_first_token_ms", -1),
        (UpstreamConfig, "url", "ftp://example.com"),
        (UpstreamConfig, "read_timeout_s", 0.0),
        (GatewayConfig, "port", -1),
        (GatewayConfig, "port", 65_536),
        (GatewayConfig, "key", ""),
        (GatewayConfig, "heartbeat_s", 0.0),
    ],
)
def test_out_of_range(kind: Any, field: str, value: Any) -> None:
    extra = {"url": "http://example.com"} if kind is UpstreamConfig and field != "url" else {}
    with pytest.raises(ConfigError):
        kind(**{field: value}, **extra)


def test_secrets_are_not_shown() -> None:
    config = GatewayConfig(
        key="canary-1",
        upstream=UpstreamConfig(url="http://user:canary-2@example.com/v1", key="canary-3"),
    )
    assert "canary" not in repr(config)


def test_settings_cannot_be_changed_later() -> None:
    aliases = {"a": "sim/stt"}
    config = GatewayConfig(aliases=aliases)
    aliases["b"] = "sim/llm"
    assert dict(config.aliases) == {"a": "sim/stt"}
    with pytest.raises(TypeError):
        config.aliases["c"] = "sim/tts"  # type: ignore[index]  # that is the point
