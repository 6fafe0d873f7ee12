"""The routes that the drills are held over: a gateway's plugins against the local gateway."""

from __future__ import annotations

from enum import StrEnum


class Profile(StrEnum):
    """Whose wire forms the calls go over."""

    AIGATEWAY = "aigateway"
    GATEFLOW = "gateflow"

    @property
    def routes(self) -> dict[str, str]:
        """Environment of the worker, which has the local gateway's AIgateway routes without it."""
        if self is Profile.AIGATEWAY:
            return {}
        return {
            "AGENT_STT": "gateflow:local/whisper-tiny.en",
            "AGENT_LLM": "gateflow:local/brain",
            "AGENT_TTS": "gateflow:local/piper-joe:joe",
        }

    @property
    def page(self) -> str:
        """Name of the table's page in `docs`."""
        return "faults.md" if self is Profile.AIGATEWAY else f"faults-{self}.md"
