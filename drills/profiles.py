"""The routes that the drills are held over: a gateway's plugins against the local gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from livekit.plugins.gateflow import STTTimeouts

from drills.cases import Drill

_ASKED_PER_SPEECH = (
    "this wire is asked only when the caller has spoken, so that one question fails once: the "
    "agent says that it cannot hear, and hangs up after the third"
)
_OVER_GATEFLOW = {"F06": _ASKED_PER_SPEECH, "F29": _ASKED_PER_SPEECH}
"""Cases that end otherwise over GateFlow's wire, and why."""
_LATER_OVER_GATEFLOW = {
    "F03": "each time the whole stretch of speech is recognised anew",
    "F05": f"a request that is never answered is made again after {STTTimeouts().first_line_s:g} s",
}
"""Cases that take longer to heal there, within the same bars, and why."""
_SLOWER = (
    "; every row waits longer than over AIgateway, because this wire takes whole stretches of "
    "speech: recognising begins when the caller pauses"
)
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
        held = [drill for drill in cases if drill.id not in _NOT_OVER_GATEFLOW]
        return [_over_gateflow(drill) for drill in held]

    @property
    def missing(self) -> str:
        """Which cases are not in the table, and why rows are slower, for people."""
        if self is Profile.AIGATEWAY:
            return ""
        left_out = "".join(f"; {case}: {why}" for case, why in _NOT_OVER_GATEFLOW.items())
        return left_out + _SLOWER

    @property
    def page(self) -> str:
        """Name of the table's page in `docs`."""
        return "faults.md" if self is Profile.AIGATEWAY else f"faults-{self}.md"


def _over_gateflow(drill: Drill) -> Drill:
    if reason := _OVER_GATEFLOW.get(drill.id):
        return replace(drill, outcome="apology", reason=reason)
    return replace(drill, reason=_LATER_OVER_GATEFLOW.get(drill.id, drill.reason))
