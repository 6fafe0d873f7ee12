"""The ways of hearing, thinking and speaking that settings can choose."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Profile:
    """Settings of a worker, without the accounts."""

    stt: str
    llm: str
    tts: str
    more: dict[str, str] = field(default_factory=dict)
    has_tools: bool = True

    def env(self, url: str, key: str) -> dict[str, str]:
        """The worker's environment, with every account at one gateway."""
        return (
            {"AGENT_STT": self.stt, "AGENT_LLM": self.llm, "AGENT_TTS": self.tts}
            | accounts(url, key)
            | self.more
        )


GATEFLOW = ("gateflow:whisper-1", "gateflow:gpt-5-mini", "gateflow:eleven_turbo_v2_5:friendly")
PROFILES = {
    "aigateway": Profile(
        "aigateway:deepgram/nova-3",
        "aigateway:moonshot/kimi-k2.6",
        "aigateway:elevenlabs/eleven-turbo-v3:rachel",
    ),
    "aigateway-opus": Profile(
        "aigateway:deepgram/nova-3",
        "aigateway:moonshot/kimi-k2.6",
        "aigateway:elevenlabs/eleven-turbo-v3:rachel",
        {"AIGATEWAY_STT_ENCODING": "opus"},
    ),
    "gateflow": Profile(*GATEFLOW, {"AGENT_LLM_MAX_TOKENS": "100"}),
    "gateflow-websocket": Profile(
        *GATEFLOW, {"AGENT_REALTIME": "gateflow:voice-agent-fast"}, has_tools=False
    ),
    "gateflow-pipeline": Profile(
        *GATEFLOW, {"AGENT_REALTIME": "gateflow:voice-agent-fast:pipeline"}, has_tools=False
    ),
    "deepgram": Profile(
        "deepgram:nova-3",
        "openai:gpt-4o-mini",
        "deepgram:aura-2-andromeda-en",
        {"AGENT_KEYTERMS": "Parley|desk lamp", "AGENT_LLM_MAX_TOKENS": "60"},
    ),
    "elevenlabs": Profile("deepgram:nova-3", "openai:gpt-4o-mini", "elevenlabs:eleven_turbo_v2_5"),
    "inference": Profile(
        "inference:deepgram/nova-3", "inference:openai/gpt-4o-mini", "inference:cartesia/sonic-3"
    ),
}


def accounts(url: str, key: str) -> dict[str, str]:
    """Every vendor's account, at one gateway."""
    vendors = ("AIGATEWAY", "GATEFLOW", "DEEPGRAM", "OPENAI", "ELEVEN")
    return (
        {f"{vendor}_BASE_URL": url for vendor in vendors}
        | {f"{vendor}_API_KEY": key for vendor in vendors}
        | {
            "LIVEKIT_INFERENCE_URL": url,
            "LIVEKIT_INFERENCE_API_KEY": "any",
            "LIVEKIT_INFERENCE_API_SECRET": key,
        }
    )
