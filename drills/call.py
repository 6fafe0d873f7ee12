"""One drill: a real call with a fault in it, measured at the caller's ear."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import aiohttp
from livekit.agents.utils import shortuuid

from caller.activity import Span
from caller.ears import Ears
from caller.errors import CallerError
from caller.room import Caller
from caller.voice import Voice
from demo.stack import HOST, Stack
from drills.cases import ANSWER, LINE, SECOND_LINE, Drill

TRIES = 2
"""A call in real time on a busy machine may miss a bar by chance; the second try has to hold it."""
_QUIET_S = 2.5
"""Silence, with an agent that says it is listening, after which a reply is over."""
_LONGEST_S = 25.0
"""How long a reply is waited for."""
_BARGE_IN_AFTER_S = 1.0
_IDLE_STATES = ("listening", "idle", None)
_AGENT_STATE = "lk.agent.state"
_SETTLE_S = 1.0
"""After a call, until the worker has written its metrics."""


@dataclass(kw_only=True)
class Drilled:
    """What became of a drill.

    Attributes:
        drill: Which one.
        heard: What the caller heard after its line, by its own recogniser.
        understood: The caller's words as the room transcribed them.
        dead_air_ms: The longest silence between the caller's last word and the agent's last sound.
        done_ms: From the caller's last word to the agent's last sound.
        hung_up: Whether the agent ended the call.
        bookings: Flights that were booked.
        requests: Sockets and requests that the gateway saw.
        faults: What the worker's metrics counted, by stage and kind.
        actions: What the caller was told in place of an answer, by the same metrics.
        error: Why the call could not be held, if it could not.
    """

    drill: Drill
    heard: str = field(default="", repr=False)
    understood: str = field(default="", repr=False)
    dead_air_ms: float = 0.0
    done_ms: float = 0.0
    hung_up: bool = False
    bookings: int = 0
    requests: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def problems(self, undisturbed: Drilled | None) -> list[str]:
        """What is worse than its bar."""
        drill = self.drill
        if self.error:
            return [self.error]
        found = []
        if drill.outcome == "answer" and not all(word in self.heard.lower() for word in ANSWER):
            found.append("the answer was not heard")
        if drill.outcome == "hang up" and not self.hung_up:
            found.append("the agent did not hang up")
        if drill.outcome == "apology" and not self.actions:
            found.append("the caller was told nothing")
        if self.dead_air_ms > drill.dead_air_ms:
            found.append(f"dead air of {self.dead_air_ms:.0f} ms, more than {drill.dead_air_ms}")
        if self.bookings != drill.bookings:
            found.append(f"{self.bookings} bookings instead of {drill.bookings}")
        if undisturbed and (lost := self.lost(undisturbed)):
            found.append(f"{lost} of the caller's words were lost")
        return found

    def lost(self, undisturbed: Drilled) -> int:
        """Words of the caller that the agent should have got and did not."""
        if self.drill.outcome != "answer" or self.drill.barge_in:
            return 0
        return words_lost(undisturbed.understood, self.understood)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where the drills are held.

    Attributes:
        stack: Server, gateway and worker.
        metrics_port: The worker's Prometheus page.
        voice: The caller's.
        ears: The caller's.
    """

    stack: Stack
    metrics_port: int
    voice: Voice
    ears: Ears

    async def hold_to_bars(
        self, drill: Drill, undisturbed: Drilled | None, *, say: Callable[[str], None]
    ) -> tuple[Drilled, list[str]]:
        """Hold a drill, again if it missed a bar; the last try and what it missed."""
        for attempt in range(1, TRIES + 1):
            result = await self.hold(drill)
            problems = result.problems(undisturbed)
            again = ", once more" if problems and attempt < TRIES else ""
            say(f"{drill.id:5}{result.dead_air_ms:6.0f} ms  {'; '.join(problems) or 'ok'}{again}")
            say(f"{'':16}heard: {result.heard}")
            say(f"{'':16}counted: {result.faults | result.actions}")
            if not problems:
                break
        return result, problems

    async def hold(self, drill: Drill) -> Drilled:
        """Hold one drill and take what it leaves behind."""
        result = Drilled(drill=drill)
        before = await self._counts()
        try:
            await self._call(drill, result)
        except CallerError as e:
            result.error = str(e)
        finally:
            await self._set_faults(())
        await asyncio.sleep(_SETTLE_S)
        grown = {name: n - before.get(name, 0) for name, n in (await self._counts()).items()}
        result.requests = grown.pop("requests")
        result.bookings = grown.pop("bookings")
        result.faults = _with_prefix(grown, "fault ")
        result.actions = _with_prefix(grown, "action ")
        return result

    async def _call(self, drill: Drill, result: Drilled) -> None:
        stack = self.stack
        caller = Caller(
            stack.livekit_url,
            stack.api_key,
            stack.api_secret,
            room=shortuuid("drill-"),
            voice=self.voice,
        )
        async with caller:
            await caller.wait_for_agent()
            await caller.hear_reply()  # the greeting
            await self._set_faults(drill.script)
            await asyncio.sleep(drill.muted_s)
            spoken = await caller.say(LINE)
            if drill.barge_in:
                spoken = await caller.barge_in(SECOND_LINE, after_ms=_BARGE_IN_AFTER_S * 1000)
            await _agent_done(caller, spoken.end_s)
            spans = [span for span in caller.ear.activity.spans if span.end > spoken.end_s]
            if spans:
                result.done_ms = (spans[-1].end - spoken.end_s) * 1000
                result.dead_air_ms = max(_gaps(spoken.end_s, spans)) * 1000
                pcm = caller.ear.audio(spoken.end_s, spans[-1].end)
                result.heard = await self.ears.transcribe(pcm)
            result.hung_up = caller.ended.is_set()
            segments = caller.transcript.of(caller.identity)
            result.understood = " ".join(s.text for s in segments if s.final)

    async def _set_faults(self, script: tuple[dict[str, Any], ...]) -> None:
        url = f"http://{HOST}:{self.stack.config.ports.gateway}/admin/faults"
        body = {"seed": 1, "faults": list(script)}
        async with aiohttp.ClientSession() as http, http.put(url, json=body) as answer:
            answer.raise_for_status()

    async def _counts(self) -> dict[str, int]:
        stats = await self.stack.gateway_stats()
        counts = {"requests": sum(stats[stage]["opened"] for stage in ("stt", "llm", "tts"))}
        counts["bookings"] = await asyncio.to_thread(_bookings, self.stack.store_path)
        page = f"http://{HOST}:{self.metrics_port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(page) as answer:
            return counts | dict(_samples(await answer.text()))


async def _agent_done(caller: Caller, since: float) -> None:
    """Wait until the agent has said all it will say, or has hung up."""

    def done() -> bool | None:
        if caller.ended.is_set():
            return True
        utterance = caller.ear.activity.utterance(since, silence_s=_QUIET_S)
        state = caller.agent_state
        return True if utterance and utterance.ended and state in _IDLE_STATES else None

    await caller.ear.until(done, timeout_s=_LONGEST_S)


def _gaps(start: float, spans: list[Span]) -> Iterator[float]:
    for span in spans:
        yield max(0.0, span.start - start)
        start = max(start, span.end)


def words_lost(reference: str, heard: str) -> int:
    """Words of `reference` that `heard` has nothing in place of."""
    said, got = _words(reference), _words(heard)
    changes = SequenceMatcher(None, said, got, autojunk=False).get_opcodes()
    return sum(max(0, (a2 - a1) - (b2 - b1)) for tag, a1, a2, b1, b2 in changes if tag != "equal")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _with_prefix(counts: dict[str, int], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: n for name, n in counts.items() if name.startswith(prefix) and n}


_SAMPLE = re.compile(r"parley_(faults|guard_actions)_total\{(.*)\} ([0-9.e+]+)")


def _samples(page: str) -> Iterator[tuple[str, int]]:
    for kind, labels, value in _SAMPLE.findall(page):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        what = named["fault"] if kind == "faults" else named["action"]
        prefix = "fault" if kind == "faults" else "action"
        yield f"{prefix} {named['stage']} {what}", int(float(value))


def _bookings(store: Path) -> int:
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as db:
        found: tuple[int] = db.execute("SELECT count(*) FROM bookings").fetchone()
        return found[0]
