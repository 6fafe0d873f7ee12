"""Runs the cases through the policies and makes curve and table of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from livekit.local_inference import EOT, VAD

from agent.config import TurnSettings
from bench.cutoffs.corpus import Case
from bench.cutoffs.hearing import Silence, listen
from bench.cutoffs.policies import Framework, Ours, Policy, Timer, scaled
from bench.profiles import PROFILES
from bench.results import percentile

TIMERS_S = (0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6)
MIN_DELAYS_S = (0.0, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3)
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5)

TIMER = "VAD and a timer"
FRAMEWORK = "livekit-agents, v1-mini"
OURS = "parley"
OURS_TELCO = "parley on a phone line"
"""A faster reply leaves less time that is free to wait."""
OURS_SILENT = "parley without openers"
"""Nothing is said before the model has words."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One policy with one setting.

    Attributes:
        policy: Which one.
        setting: How it is set.
        is_default: Whether that is how it comes.
        wait_p50_s: Median wait after turns that were over.
        wait_p95_s: 95th percentile.
        reply_p50_s: Median time to the reply's audio, with the simulated stages beside the wait.
        cut_offs: Pauses inside a turn that were taken for its end.
        pauses: All of them.
    """

    policy: str
    setting: str
    is_default: bool
    wait_p50_s: float
    wait_p95_s: float
    reply_p50_s: float
    cut_offs: int
    pauses: int

    @property
    def share(self) -> float:
        """False cutoffs, 0 to 1."""
        return self.cut_offs / self.pauses

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self) | {"share": self.share}


def measure(
    cases: Sequence[Case], settings: TurnSettings, say: Callable[[str], None]
) -> list[Point]:
    """Every policy with every setting.

    Args:
        cases: The labelled set.
        settings: Parley's own delays.
        say: Told what goes on.
    """
    vad, model = VAD(), EOT()
    silences = [silence for case in cases if (silence := listen(case, vad)) is not None]
    say(f"{len(silences)} of {len(cases)} cases have speech that the detector hears")
    points = [_point(Timer(s), TIMER, f"{s:g} s", silences, is_default=False) for s in TIMERS_S]
    default = Framework(model)
    for delay in MIN_DELAYS_S:
        policy = Framework(model, min_delay_s=delay)
        setting = f"min_delay {delay:g} s"
        points.append(_point(policy, FRAMEWORK, setting, silences, is_default=policy == default))
    say("the framework is done")
    for factor in FACTORS:
        policy_of_ours = Ours(model, scaled(settings, factor))
        setting = f"delays × {factor:g}"
        points.append(_point(policy_of_ours, OURS, setting, silences, is_default=factor == 1.0))
    on_a_phone = Ours(model, settings, PROFILES["telco"])
    points.append(_point(on_a_phone, OURS_TELCO, "stages of telco", silences, is_default=False))
    silent = Ours(model, settings, acknowledges=False)
    points.append(_point(silent, OURS_SILENT, "delays × 1", silences, is_default=False))
    return points


def _point(
    policy: Policy, name: str, setting: str, silences: Sequence[Silence], *, is_default: bool
) -> Point:
    waits, replies, cut_offs, pauses = [], [], 0, 0
    chain_s = PROFILES["budget"].total / 1000
    for silence in silences:
        wait = policy.wait_s(silence)
        if silence.case.pause_s is None:
            waits.append(wait)
            replies.append(max(wait, chain_s))
        else:
            pauses += 1
            cut_offs += wait < silence.case.pause_s
    return Point(
        policy=name,
        setting=setting,
        is_default=is_default,
        wait_p50_s=percentile(waits, 50) or 0.0,
        wait_p95_s=percentile(waits, 95) or 0.0,
        reply_p50_s=percentile(replies, 50) or 0.0,
        cut_offs=cut_offs,
        pauses=pauses,
    )


def markdown(points: Sequence[Point]) -> str:
    """The table."""
    lines = [
        "| policy | setting | wait p50 | p95 | false cutoffs |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for point in points:
        mark = " (default)" if point.is_default else ""
        lines.append(
            f"| {point.policy} | {point.setting}{mark} | {point.wait_p50_s * 1000:.0f} | "
            f"{point.wait_p95_s * 1000:.0f} | {point.share:.1%} of {point.pauses} |"
        )
    return "\n".join(lines) + "\n"


def curves_of(points: Sequence[Point]) -> dict[str, list[tuple[float, float]]]:
    """Each policy's curve, hasty to patient: median wait (ms) against false cutoffs (%)."""
    names = dict.fromkeys(point.policy for point in points)
    return {
        name: [
            (point.wait_p50_s * 1000, 100 * point.share) for point in points if point.policy == name
        ]
        for name in names
    }


def worse_than_the_framework(points: Sequence[Point]) -> str:
    """A sentence if the shipped settings cut off more pauses than the framework's; else empty."""
    ours = _default(points, OURS)
    theirs = _default(points, FRAMEWORK)
    if ours.cut_offs <= theirs.cut_offs:
        return ""
    return (
        f"{OURS} cut into {ours.cut_offs} of {ours.pauses} pauses at its defaults, the framework's "
        f"defaults into {theirs.cut_offs}."
    )


def _default(points: Sequence[Point], policy: str) -> Point:
    return next(point for point in points if point.policy == policy and point.is_default)
