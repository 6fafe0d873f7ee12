"""Accounts: at which gateways and vendors a route may be served, under whose key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Accounts(BaseSettings):
    """Keys and addresses, and what a gateway has to be told in every request."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    aigateway_api_key: SecretStr | None = Field(None, alias="AIGATEWAY_API_KEY")
    """One key, or several separated by commas: the next is used while one is limited or refused."""
    aigateway_requests_per_s: float = Field(0.0, ge=0, le=10_000, alias="AIGATEWAY_REQUESTS_PER_S")
    """Requests a second that all calls of this machine make together; 0: as they come."""
    aigateway_burst: int = Field(5, ge=1, le=1000, alias="AIGATEWAY_BURST")
    """Requests that may leave at once after a pause."""
    aigateway_base_url: str = Field("https://api.aigateway.sh/v1", alias="AIGATEWAY_BASE_URL")
    aigateway_dialect: Literal["deepgram", "minimal"] = Field("deepgram", alias="AIGATEWAY_DIALECT")
    aigateway_store_transcript: bool = Field(False, alias="AIGATEWAY_STORE_TRANSCRIPT")
    aigateway_stt_encoding: Literal["linear16", "opus"] = Field(
        "linear16", alias="AIGATEWAY_STT_ENCODING"
    )
    """How the caller's audio is sent to AIgateway; "opus" takes a tenth of the bandwidth."""
    gateflow_api_key: SecretStr | None = Field(None, alias="GATEFLOW_API_KEY")
    gateflow_requests_per_s: float = Field(0.0, ge=0, le=10_000, alias="GATEFLOW_REQUESTS_PER_S")
    gateflow_burst: int = Field(5, ge=1, le=1000, alias="GATEFLOW_BURST")
    gateflow_base_url: str = Field("https://api.gateflow.ai/v1", alias="GATEFLOW_BASE_URL")
    local_gateway_url: str = Field("http://127.0.0.1:8787/v1", alias="LOCAL_GATEWAY_URL")
    redis_url: SecretStr | None = Field(None, alias="AGENT_REDIS_URL")
    """Where workers tell each other what is down: redis://[:password@]host:6379/0."""
    pace_path: Path = Field(Path(".parley/pace"), alias="AGENT_PACE")
    """Folder through which the processes of this machine keep to one pace."""
    gateway_key: SecretStr | None = Field(None, alias="GATEWAY_KEY")
    deepgram_api_key: SecretStr | None = Field(None, alias="DEEPGRAM_API_KEY")
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY")
    eleven_api_key: SecretStr | None = Field(None, alias="ELEVEN_API_KEY")
    deepgram_base_url: str = Field("https://api.deepgram.com/v1", alias="DEEPGRAM_BASE_URL")
    openai_base_url: str = Field("https://api.openai.com/v1", alias="OPENAI_BASE_URL")
    eleven_base_url: str = Field("https://api.elevenlabs.io/v1", alias="ELEVEN_BASE_URL")
    inference_url: str = Field(
        "https://agent-gateway.livekit.cloud/v1", alias="LIVEKIT_INFERENCE_URL"
    )
    inference_api_key: str = Field("", alias="LIVEKIT_INFERENCE_API_KEY")
    """Key and secret of LiveKit Inference; empty: those of the media server."""
    inference_api_secret: SecretStr | None = Field(None, alias="LIVEKIT_INFERENCE_API_SECRET")
