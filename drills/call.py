"""Real calls with a fault in each question, measured at the caller's ear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from livekit.agents.utils import shortuuid

from bench.usage import quiet_machine
from caller.activity import Span
from caller.ears import Ears
from caller.errors import CallerError
from caller.room import Caller
from caller.voice import Voice
from drills.cases import BARGE_IN, LINES, UNDISTURBED, Drill, in_calls
from drills.counts import Observed
from drills.results import Drilled

TRIES = 2
"""A call in real time on a busy machine may miss a bar by chance; the second try has to hold it."""
SAID = (*(line.text for line in LINES), BARGE_IN.text)
"""What the caller says, to be rendered before it calls."""
_QUIET_S = 0.8
"""Silence, with an agent that says it is listening, after which a reply is over."""
_LONGEST_S = 25.0
"""How long a reply is waited for."""
_BARGE_IN_AFTER_MS = 1_000.0
_IDLE_STATES = ("listening", "idle", None)
_SETTLE_S = 0.3
"""After a reply, until the worker has written its metrics."""

_Say = Callable[[str], None]


@dataclass(kw_only=True)
class Range:
    """Where the drills are held.

    Attributes:
        at: Server, gateway and worker.
        voice: The caller's.
        ears: The caller's.
        say: Told the progress.
        began_at: Monotonic seconds that the progress is counted from.
    """

    at: Observed
    voice: Voice
    ears: Ears
    say: _Say
    began_at: float = field(default_factory=time.monotonic)

    async def hold_all(self, drills: Sequence[Drill]) -> list[Drilled]:
        """Hold the undisturbed question and these drills in as few calls as will do."""
        wanted = [UNDISTURBED, *drills]
        results: list[Drilled] = []
        for call in in_calls(wanted):
            results += await self.hold_to_bars(call)
        return sorted(results, key=lambda result: wanted.index(result.drill))

    async def hold_to_bars(self, drills: Sequence[Drill]) -> list[Drilled]:
        """Hold the drills of one call, and once more those that missed a bar."""
        held: dict[str, Drilled] = {}
        again = list(drills)
        for attempt in range(1, TRIES + 1):
            for call in in_calls(again):
                held |= {result.drill.id: result for result in await self.hold(call)}
            again = [drill for drill in drills if held[drill.id].problems()]
            if not again:
                break
            if attempt < TRIES:
                self.say(f"once more: {', '.join(drill.id for drill in again)}")
                await quiet_machine()
        return list(held.values())

    async def hold(self, drills: Sequence[Drill]) -> list[Drilled]:
        """Hold one call; a question that cannot be asked says why."""
        results = [
            Drilled(
                drill=drill,
                line=BARGE_IN if drill.barge_in else LINES[number % len(LINES)],
                error="the call was over before",
            )
            for number, drill in enumerate(drills)
        ]
        stack = self.at.stack
        caller = Caller(
            stack.livekit_url,
            stack.api_key,
            stack.api_secret,
            room=shortuuid("drill-"),
            voice=self.voice,
        )
        try:
            async with caller:
                await caller.wait_for_agent()
                await caller.hear_reply()  # the greeting
                for result in results:
                    await self._ask(caller, result)
                    self._tell(result)
        except CallerError as e:
            failed = next(result for result in results if result.error)
            failed.error = str(e)
            self._tell(failed)
        finally:
            await self.at.set_faults(())
        return results

    def _tell(self, result: Drilled) -> None:
        verdict = "; ".join(result.problems()) or "ok"
        elapsed_s = time.monotonic() - self.began_at
        name, silence_ms = result.drill.id, result.dead_air_ms
        self.say(f"{elapsed_s:4.0f} s  {name:5}{silence_ms:6.0f} ms  {verdict}")
        self.say(f"{'':16}heard: {result.heard}")
        self.say(f"{'':16}{result.requests} requests, {result.faults | result.actions}")

    async def _ask(self, caller: Caller, result: Drilled) -> None:
        """Ask one question with its fault in force, and take what that leaves behind."""
        drill, known = result.drill, len(caller.transcript.segments)
        before = await self.at.counts()
        await self.at.set_faults(drill.script)
        await asyncio.sleep(drill.muted_s)
        if drill.barge_in:
            await caller.say(LINES[0].text)
            spoken = await caller.barge_in(result.line.text, after_ms=_BARGE_IN_AFTER_MS)
        else:
            spoken = await caller.say(result.line.text)
        await _agent_done(caller, spoken.end_s, hangs_up=drill.outcome == "hang up")
        result.fired = await self.at.fired()
        await self.at.set_faults(())
        result.hung_up = caller.ended.is_set()
        spans = [span for span in caller.ear.activity.spans if span.end > spoken.end_s]
        if spans:
            result.done_ms = (spans[-1].end - spoken.end_s) * 1000
            result.dead_air_ms = max(_gaps(spoken.end_s, spans)) * 1000
            pcm = caller.ear.audio(spoken.end_s, spans[-1].end)
            result.heard = await self.ears.transcribe(pcm)
        segments = caller.transcript.segments[known:]
        said = [s.text for s in segments if s.speaker == caller.identity and s.final]
        result.understood = " ".join(said)
        await asyncio.sleep(_SETTLE_S)
        grown = (await self.at.counts()).since(before)
        result.requests, result.bookings = grown.requests, grown.bookings
        result.faults, result.actions = dict(grown.faults), dict(grown.actions)
        result.error = ""


async def _agent_done(caller: Caller, since: float, *, hangs_up: bool) -> None:
    """Wait until the agent has said all it will say, or has hung up."""

    def done() -> bool | None:
        if caller.ended.is_set():
            return True
        utterance = caller.ear.activity.utterance(since, silence_s=_QUIET_S)
        silent = bool(utterance and utterance.ended and caller.agent_state in _IDLE_STATES)
        return True if silent and not hangs_up else None

    await caller.ear.until(done, timeout_s=_LONGEST_S)


def _gaps(start: float, spans: list[Span]) -> Iterator[float]:
    for span in spans:
        yield max(0.0, span.start - start)
        start = max(start, span.end)
