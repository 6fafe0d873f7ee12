"""The routes that the drills are held over: a gateway's plugins against the local gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from drills.cases import Drill

_ASKED_PER_SPEECH = (
    "this wire is asked only when the caller has spoken, so that one question fails once: the "
    "agent says that it cannot hear, and hangs up after the third"
)
_OVER_GATEFLOW = {"F06": _ASKED_PER_SPEECH, "F29": _ASKED_PER_SPEECH}
"""Cases that end otherwise over GateFlow's wire, and why."""
_NOT_OVER_GATEFLOW = {"F20": "cancelling is closing the connection, after which nothing comes"}
"""Cases that cannot occur there, and why."""


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

    def drills(self, cases: Iterable[Drill]) -> list[Drill]:
        """Those of the cases that can occur over these wire forms, with their bars there."""
        if self is Profile.AIGATEWAY:
            return list(cases)
        return [
            replace(drill, outcome="apology", reason=reason)
            if (reason := _OVER_GATEFLOW.get(drill.id))
            else drill
            for drill in cases
            if drill.id not in _NOT_OVER_GATEFLOW
        ]

    @property
    def missing(self) -> str:
        """Which cases are not in the table, for people."""
        if self is Profile.AIGATEWAY:
            return ""
        return "".join(f"; {case}: {why}" for case, why in _NOT_OVER_GATEFLOW.items())

    @property
    def page(self) -> str:
        """Name of the table's page in `docs`."""
        return "faults.md" if self is Profile.AIGATEWAY else f"faults-{self}.md"
