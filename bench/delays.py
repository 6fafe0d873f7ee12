"""Whether the waterfall tells the truth: a delay put into a stage must appear in that stage's part.

One call of plain lines without a delay and with one at each stage of the gateway in turn; the
medians of each part are compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.account import records_of
from bench.call import Conversation
from bench.contestants import contestants
from bench.lines import CALL, render
from bench.profiles import PROFILES
from bench.results import Turn
from bench.rig import API_KEY, Rig
from bench.run import WORKER_START_S
from caller.errors import CallerError
from caller.room import Caller
from caller.voice import Voice

INJECTED_MS = 137
STAGES = ("stt", "llm", "tts")
ROUNDS = 2
"""Times that each line is said for each stage."""
TOLERANCE_MS = 10.0
CONTESTANT = "parley-no-openers"
"""With openers the voice's delay is not heard."""
SERIAL = {"AGENT_TURN_SETTLE_FINISHED_S": "2", "AGENT_TURN_SETTLE_SILENCE_S": "2"}
"""Nothing is answered ahead of its final: a partial that comes before it, which is a matter of some
10 ms, would save some of the delay."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """What a delay did to the parts of a turn.

    Attributes:
        stage: Where it was injected.
        grown_ms: By how much each part's median grew.
    """

    stage: str
    grown_ms: Mapping[str, float]

    @property
    def error_ms(self) -> float:
        """How far the stage's own part is from having grown by the delay."""
        return self.grown_ms[self.stage] - INJECTED_MS

    @property
    def elsewhere_ms(self) -> float:
        """The most that another part inside the worker moved."""
        ways = (self.stage, "uplink", "downlink")
        return max((abs(ms) for name, ms in self.grown_ms.items() if name not in ways), default=0.0)


async def measure(folder: Path, say: Callable[[str], None]) -> list[Shift]:
    """Hold the call.

    Raises:
        ProcessError: A part did not start.
        MediaServerError: There is no media server.
        CallerError: The caller cannot speak, or some turn was not answered.
    """
    voice = Voice()
    steps = [step for step in CALL if step.kind == "plain"] * ROUNDS
    profile = PROFILES["budget"]
    lines = await render(folder, voice, steps, longest_gap_s=profile.longest_gap_s)
    [ours] = [c for c in contestants(folder) if c.name == CONTESTANT]
    async with Rig(folder=folder, profile=profile, script=lines.script) as rig:
        env = ours.env | SERIAL | {"AGENT_NAME": "ours"}
        worker = rig.child("waterfall", list(ours.command), env=env)
        await worker.start(marker="registered worker")
        try:
            await worker.ready("registered worker", timeout_s=WORKER_START_S)
            turns: list[Turn] = []
            async with Caller(
                rig.livekit_url, API_KEY, rig.api_secret,
                room="waterfall", agent_name="ours", voice=voice,
            ) as caller:  # fmt: skip
                await caller.wait_for_agent()
                conversation = Conversation(caller, lines=lines, requests=rig.llm_requests)
                await conversation.hold(steps[: len(steps) // ROUNDS], turns.append)  # to settle
                for stage in ("", *STAGES):
                    say(f"waterfall: {INJECTED_MS} ms more at {stage or 'no stage'}")
                    await rig.inject(stage, INJECTED_MS)
                    await conversation.hold(steps, turns.append)
        finally:
            await worker.stop()
        records = records_of(worker.log, "waterfall")
    if len(records) != len(turns) or any(turn.failed for turn in turns):
        raise CallerError(f"{len(turns)} lines were said and {len(records)} turns answered.")
    measured = records[len(steps) // ROUNDS :]
    plain, *delayed = (
        _medians(measured[first : first + len(steps)])
        for first in range(0, len(measured), len(steps))
    )
    return [
        Shift(stage=stage, grown_ms={name: parts[name] - plain[name] for name in plain})
        for stage, parts in zip(STAGES, delayed, strict=True)
    ]


def _medians(records: list[dict[str, Any]]) -> dict[str, float]:
    parts = [{p["name"]: p["ms"] for p in record["parts"]} for record in records]
    return {name: statistics.median(turn[name] for turn in parts) for name in parts[0]}


def markdown(shifts: list[Shift]) -> str:
    """The table."""
    names = [name for name in shifts[0].grown_ms if name not in ("uplink", "downlink")]
    lines = [
        f"| {INJECTED_MS} ms more at | " + " | ".join(names) + " |",
        "| --- |" + " ---: |" * len(names),
    ]
    for shift in shifts:
        cells = (f"{shift.grown_ms[name]:+.0f}" for name in names)
        lines.append(f"| {shift.stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def problems(shifts: list[Shift]) -> list[str]:
    """A sentence for each delay that did not show where it arose."""
    return [
        f"{INJECTED_MS} ms at {shift.stage} appear as {shift.grown_ms[shift.stage]:.0f} ms "
        f"there and as up to {shift.elsewhere_ms:.0f} ms elsewhere."
        for shift in shifts
        if abs(shift.error_ms) > TOLERANCE_MS or shift.elsewhere_ms > TOLERANCE_MS
    ]
