"""One turn in numbers: what the log, the page and the metrics are told. It holds no words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PartName = Literal["uplink", "stt", "commit", "llm", "clause", "tts", "output", "downlink"]
"""The parts of a turn, in the order in which they follow each other."""

Opener = Literal["hit", "miss", "none", "acknowledged"]
"""Whether the reply began with kept audio, began with words that are kept but had no audio yet, or
began otherwise; or whether the model had no words yet and the turn was acknowledged."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One stretch of a turn's waiting time.

    Attributes:
        name: What was waited for.
        ms: For how long.
    """

    name: PartName
    ms: float


@dataclass(frozen=True, kw_only=True)
class TurnRecord:
    """One turn, from the caller's end of speech to the agent's first sound, both at the caller.

    Attributes:
        turn: Number of the turn in its call, from 1.
        total_ms: The sum of the parts.
        parts: What was waited for, in order of time.
        opener: What the opener cache had to do with it.
        characters_saved: Characters of the reply that need not be sent to the voice.
        llm_requests: Requests to the language model for this turn, thrown away ones included.
        hedged_requests: Those made at a second route beside the one that answered.
        hedged_tokens: Input tokens that those cost.
        interrupted: Whether the caller interrupted the reply.
        tools: Names of the tools that were called.
        routes: The routes that served each stage, in order; more than one after a switch.
    """

    turn: int
    total_ms: float
    parts: tuple[Part, ...]
    opener: Opener = "none"
    characters_saved: int = 0
    llm_requests: int = 0
    hedged_requests: int = 0
    hedged_tokens: int = 0
    interrupted: bool = False
    tools: tuple[str, ...] = ()
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The record as a JSON object; times have a tenth of a millisecond."""
        record = asdict(self)
        record["total_ms"] = round(self.total_ms, 1)
        record["parts"] = [{"name": p.name, "ms": round(p.ms, 1)} for p in self.parts]
        record["tools"] = list(self.tools)
        record["routes"] = {stage: list(names) for stage, names in self.routes.items()}
        return record

    def part_ms(self, name: PartName) -> float:
        """Milliseconds of one part."""
        return sum(part.ms for part in self.parts if part.name == name)
