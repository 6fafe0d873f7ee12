"""The run: everything started once, the contestants called in turn, everything stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import psutil
from livekit import api

from bench.account import differences, records_of
from bench.call import Conversation
from bench.contestants import Contestant
from bench.lines import CALL, Lines, Step, render
from bench.profiles import Profile
from bench.results import Result, Run, Turn
from bench.rig import API_KEY, Rig
from bench.usage import MAX_FOREIGN_LOAD, ForeignLoad, TreeUsage
from caller.errors import CallerError
from caller.floor import measure_floor
from caller.room import Caller
from caller.voice import Voice
from demo.processes import Child, ProcessError

WORKER_START_S = 120.0
"""Four workers that start at once on two cores took a minute."""
JOIN_S = 60.0
"""From its start to being in the room, for those that are a process for each call."""
CALM_LOAD = 0.15
"""Share of the machine below which all start-up work is taken to be done."""
CALM_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 240.0
MAX_AGAIN = 3
"""One in so many calls may be held again because others took too much of the machine."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured.

    Attributes:
        calls: Calls with each contestant.
        steps: Turns of a call.
        bursts: Tones by which the floor is timed.
    """

    calls: int
    steps: Sequence[Step]
    bursts: int


FULL = Plan(calls=3, steps=CALL, bursts=20)
QUICK = Plan(calls=1, steps=CALL[:6], bursts=8)
ALONE = Plan(calls=5, steps=[step for step in CALL if step.kind in ("plain", "noise")], bursts=20)
"""For ours without peers: twenty lines, ten noises into replies, nothing else."""


class Bench:
    """Measures `contestants` by `plan`.

    Args:
        contestants: Who takes part.
        plan: How much is measured.
        profile: How fast the stages are.
        folder: For logs, lines and the script.
        say: Told what goes on.
    """

    def __init__(
        self,
        contestants: Sequence[Contestant],
        *,
        plan: Plan,
        profile: Profile,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._contestants = contestants
        self._plan = plan
        self._profile = profile
        self._folder = folder
        self._say = say
        self._voice = Voice()

    async def run(self) -> Run:
        """Measure.

        Raises:
            ProcessError: A part did not start.
            MediaServerError: There is no media server.
            CallerError: The caller cannot speak or reach the server.
        """
        lines = await render(
            self._folder,
            self._voice,
            self._plan.steps,
            longest_gap_s=self._profile.longest_gap_s,
        )
        async with (
            ForeignLoad() as foreign,
            Rig(folder=self._folder, profile=self._profile, script=lines.script) as rig,
            self._workers(rig) as workers,
        ):
            await self._settled(workers)
            floor = await measure_floor(
                rig.livekit_url, API_KEY, rig.api_secret, room="floor", bursts=self._plan.bursts
            )
            self._say(f"floor: {floor.p50:.0f} ms ({floor.least:.0f} to {floor.most:.0f})")
            results = [
                Result(name=c.name, ours=c.ours, added_ms=floor.p50 if c.how == "loop" else 0.0)
                for c in self._contestants
            ]
            run = Run(profile=self._profile, floor=floor, results=results)
            caller = _Calls(rig, lines, self._voice, self._plan, workers)
            await self._hold(caller, foreign, run)
            return run

    async def _hold(self, caller: _Calls, foreign: ForeignLoad, run: Run) -> None:
        """Hold all calls; those that others disturbed are held again, up to a limit."""
        waiting = deque(self._order(run.results))
        again = len(waiting) // MAX_AGAIN
        planned = len(waiting)
        while waiting:
            contestant, result = waiting.popleft()
            foreign.lap()
            held = await caller.call(contestant)
            load = foreign.lap()
            if load > MAX_FOREIGN_LOAD and run.held_again < again:
                run.held_again += 1
                waiting.append((contestant, result))
                self._say(f"{contestant.name}: others took {load:.0%}, will be called again")
                continue
            result.add(held)
            run.foreign_load.append(load)
            self._say(_progress(f"{planned - len(waiting)}/{planned}", contestant.name, held))

    def _order(self, results: Sequence[Result]) -> list[tuple[Contestant, Result]]:
        """Round by round, everyone once in each, and each round begins with another one."""
        pairs = list(zip(self._contestants, results, strict=True))
        rounds = [
            pairs[i % len(pairs) :] + pairs[: i % len(pairs)] for i in range(self._plan.calls)
        ]
        return [pair for pairs in rounds for pair in pairs]

    @contextlib.asynccontextmanager
    async def _workers(self, rig: Rig) -> AsyncIterator[dict[str, Child]]:
        """Those that register once, all of them registered."""
        workers = {
            c.name: rig.child(c.name, list(c.command), env=c.env | {"AGENT_NAME": c.name})
            for c in self._contestants
            if c.how == "worker"
        }
        try:
            for worker in workers.values():
                await worker.start(marker="registered worker")
            for name, worker in workers.items():
                await worker.ready("registered worker", timeout_s=WORKER_START_S)
                self._say(f"{name} is registered")
            yield workers
        finally:
            await asyncio.gather(*(worker.stop() for worker in workers.values()))

    async def _settled(self, workers: dict[str, Child]) -> None:
        """Wait for the workers to have warmed up their idle processes."""
        deadline = time.monotonic() + CALM_TIMEOUT_S
        while time.monotonic() < deadline:
            async with contextlib.AsyncExitStack() as stack:
                usages = [
                    await stack.enter_async_context(TreeUsage(worker.pid))
                    for worker in workers.values()
                ]
                await asyncio.sleep(1.0)
            used = sum(usage.cpu_s / usage.elapsed_s for usage in usages)
            if used / (psutil.cpu_count() or 1) < CALM_LOAD:
                return


class _Calls:
    """Calls contestants, one at a time."""

    def __init__(
        self,
        rig: Rig,
        lines: Lines,
        voice: Voice,
        plan: Plan,
        workers: dict[str, Child],
    ) -> None:
        self._rig = rig
        self._lines = lines
        self._voice = voice
        self._plan = plan
        self._workers = workers

    async def call(self, contestant: Contestant) -> Result:
        """Hold one call; what goes wrong in it is the contestant's failure, not the run's."""
        result = Result(name=contestant.name)
        room = f"{contestant.name}-{token_hex(3)}"
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                if contestant.how == "loop":
                    await self._loop(contestant, result)
                elif contestant.how == "joins":
                    await self._joined(contestant, result, room)
                else:
                    pid = self._workers[contestant.name].pid
                    await self._talk(contestant, result, room, pid)
        except TimeoutError:
            result.failures.append(f"a call did not end within {CALL_TIMEOUT_S:.0f} s")
        except (CallerError, ProcessError) as e:
            result.failures.append(str(e))
        return result

    async def _talk(self, contestant: Contestant, result: Result, room: str, pid: int) -> None:
        dispatched = contestant.name if contestant.how == "worker" else ""
        async with Caller(
            self._rig.livekit_url,
            API_KEY,
            self._rig.api_secret,
            room=room,
            agent_name=dispatched,
            voice=self._voice,
        ) as caller:
            await caller.wait_for_agent()
            conversation = Conversation(caller, lines=self._lines, requests=self._rig.llm_requests)
            async with TreeUsage(pid) as usage:
                await conversation.hold(self._plan.steps, result.turns.append)
        result.call_s = usage.elapsed_s
        result.cpu_s = usage.cpu_s
        result.pss_mb.append(usage.pss_mb)
        if contestant.ours:
            records = records_of(self._workers[contestant.name].log, room)
            result.account_ms = differences(records, result.turns)

    async def _joined(self, contestant: Contestant, result: Result, room: str) -> None:
        grants = api.VideoGrants(room_join=True, room=room)
        token = api.AccessToken(API_KEY, self._rig.api_secret).with_identity("agent")
        env = {
            "BENCH_ROOM": room,
            "BENCH_TOKEN": token.with_kind("agent").with_grants(grants).to_jwt(),
        }
        child = self._rig.child(contestant.name, list(contestant.command), env=contestant.env | env)
        try:
            await child.start(marker="bench: ready")
            await child.ready("bench: ready", timeout_s=JOIN_S)
            await self._talk(contestant, result, room, child.pid)
        finally:
            await child.stop()

    async def _loop(self, contestant: Contestant, result: Result) -> None:
        audio = [str(self._lines.audio[s.says]) for s in self._plan.steps if s.kind != "pause"]
        child = self._rig.child(contestant.name, [*contestant.command, *audio], env=contestant.env)
        started = time.monotonic()
        try:
            await child.start(marker="bench: done")
            await child.ready("bench: done", timeout_s=CALL_TIMEOUT_S)
        finally:
            await child.stop()
        for line in child.log.read_text().splitlines():
            if line.startswith("{"):
                result.turns.append(Turn(kind="plain", **json.loads(line)))
        result.call_s = time.monotonic() - started


def _progress(index: str, name: str, result: Result) -> str:
    last = ", ".join(f"{ms:.0f}" for ms in result.heard)
    failed = f"; {result.failures[-1]}" if result.failures else ""
    return f"{index} {name}: {last or 'nothing heard'}{failed}"
