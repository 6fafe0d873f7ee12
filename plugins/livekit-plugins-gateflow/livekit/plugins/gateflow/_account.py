"""Whose gateway this is, and where its forms are."""

from __future__ import annotations

from livekit.plugins.gatewaykit.url import Account

ACCOUNT = Account(
    name="GateFlow",
    default_base_url="https://api.gateflow.ai/v1",
    base_url_variable="GATEFLOW_BASE_URL",
    api_key_variable="GATEFLOW_API_KEY",
)

TRANSCRIPTIONS_PATH = "/audio/transcriptions"
SPEECH_PATH = "/audio/speech"
PIPELINES_PATH = "/audio/pipelines"
REALTIME_PATH = "/audio/realtime"
