"""What the doctor found: one line a check, a fix where one is needed, and a score a gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """A call can be taken, but not as well as it could be."""
    FAIL = "fail"
    UNKNOWN = "unknown"
    """Nothing can be told from here."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check.

    Attributes:
        subject: What was looked at: "media server", or a route such as "stt local:whisper-tiny.en".
        check: Which side of it.
        state: How it ended.
        found: What was seen, with figures.
        fix: What to do about it; empty where nothing need be done.
        gateway: Whose conformance it belongs to; empty for what no gateway answers for.
    """

    subject: str
    check: str
    state: State
    found: str
    fix: str = ""
    gateway: str = ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How much of what an agent wants from a gateway it was seen to do.

    Attributes:
        gateway: Its provider name.
        passed: Checks that ended well.
        told: Checks from which anything could be told.
    """

    gateway: str
    passed: int
    told: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that was found.

    Attributes:
        findings: In the order in which they are shown.
        stages: The subjects of each stage's routes; a stage works when one of its routes does.
    """

    findings: Sequence[Finding]
    stages: Sequence[Sequence[str]]

    @property
    def can_take_a_call(self) -> bool:
        """Whether an agent with this set-up could take a call."""
        failed = {f.subject for f in self.findings if f.state is State.FAIL}
        routes = {subject for stage in self.stages for subject in stage}
        return not failed - routes and all(set(stage) - failed for stage in self.stages)

    @property
    def scores(self) -> list[Score]:
        """The conformance of each gateway that was asked."""
        told = Counter(
            f.gateway for f in self.findings if f.gateway and f.state is not State.UNKNOWN
        )
        passed = Counter(f.gateway for f in self.findings if f.gateway and f.state is State.OK)
        return [Score(gateway=name, passed=passed[name], told=told[name]) for name in sorted(told)]

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "can_take_a_call": self.can_take_a_call,
            "findings": [asdict(finding) for finding in self.findings],
            "scores": [asdict(score) for score in self.scores],
        }
