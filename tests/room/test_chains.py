"""A call over two gateways, the first of which dies in the middle of a sentence, stage by stage."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from agent.speech.acknowledge import ACKNOWLEDGEMENTS
from caller.activity import Span
from caller.ears import Ears
from caller.room import Caller
from demo.binaries import ROOT
from demo.processes import Child
from demo.stack import HOST, Ports, Stack, StackConfig
from tests.wer import wer

logger = logging.getLogger("parley.tests")

JOKE = "Could you please tell me a good joke?"
LAUGH = "Why did the microphone break up with the speaker? There was too much feedback."
LONGEST_DEAD_AIR_S = 2.5
"""From the caller's last sound to the end of the reply."""
TRIES = 3
"""The engines of two gateways share two cores here, with whoever else is on the machine."""
WORST = {"tts": 0.3}
"""Word error rate that may be heard; where two voices meet, a word may come twice."""
PHRASE = "One moment, please."
MEANWHILE = re.compile(r"(let me see|let me have a look|(1|one) moment,? please)\W*", re.IGNORECASE)
"""What is said while the answer is not there."""
GUARD_PHRASES = ("FILLER", "FILLER_AGAIN", "APOLOGY", "BROKE_OFF", "CANNOT_HEAR", "GIVE_UP")
"""All the same: what is kept is made in the first call, which has better to do with two cores."""
KEPT = len((PHRASE, "Sure,", *ACKNOWLEDGEMENTS))
REPLY_OVER_MS = 2600
"""Longer than any silence that a reply may have inside."""
ROUTES = {"stt": "whisper-tiny.en", "llm": "brain", "tts": "piper-joe:joe"}
DIES = {
    "stt": {"stage": "stt", "do": "reset", "at": {"word": 3}},
    "llm": {"stage": "llm", "do": "close", "at": {"word": 8}},
    "tts": {"stage": "tts", "do": "close", "at": {"word": 6}},
}


@dataclass(frozen=True)
class Place:
    """Where the call is held.

    Attributes:
        stack: With the second gateway.
        first_port: The first one's.
        metrics_port: The worker's page.
    """

    stack: Stack
    first_port: int
    metrics_port: int

    @property
    def faults(self) -> str:
        """Where the first gateway takes its faults."""
        return f"http://{HOST}:{self.first_port}/admin/faults"

    def logged(self, logger: str) -> list[dict[str, Any]]:
        """What the worker has logged."""
        lines = (self.stack.folder / "worker.log").read_text().splitlines()
        return [json.loads(line) for line in lines if f'"{logger}"' in line]

    async def counted(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        page = f"http://{HOST}:{self.metrics_port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(page) as answer:
            lines = (await answer.text()).splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        counts = [line for line in lines if line.startswith(f"{name}{{")]
        return sum(float(c.split()[-1]) for c in counts if all(w in c for w in wanted))


def first(stage: str) -> str:
    return f"aigateway:local/{ROUTES[stage]}"


def second(stage: str) -> str:
    return f"local:{ROUTES[stage]}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The stack's own gateway is the second of each chain; another one is the first."""
    folder = tmp_path_factory.mktemp("chains")
    others = Ports.free()
    port = others.gateway
    env = {f"AGENT_{stage.upper()}": f"{first(stage)},{second(stage)}" for stage in ROUTES}
    env |= {
        "AIGATEWAY_BASE_URL": f"http://{HOST}:{port}/v1",
        "AIGATEWAY_API_KEY": "any",
        "AGENT_CHAIN_PROBE_AFTER_S": "3",  # no probe beside the reply: here both share one machine
        "AGENT_GREETING": PHRASE,
        "AGENT_FAREWELL": PHRASE,
        **{f"AGENT_GUARD_{name}": PHRASE for name in GUARD_PHRASES},
        "AGENT_OPENERS": "Sure,",
        "AGENT_PHRASES": str(folder / "phrases"),
        "AGENT_METRICS": str(folder / "metrics"),
        "AGENT_METRICS_PORT": str(others.web),
    }
    command = [sys.executable, "-m", "gateway", "--host", HOST, "--port", str(port)]
    quiet = os.environ | {"GATEWAY_KEY": "", "PYTHONUNBUFFERED": "1"}
    gateway = Child("first", command, env=quiet, log=folder / "first.log", cwd=ROOT)
    await gateway.start(marker="gateway ready")
    config = StackConfig(ports=Ports.free(), folder=folder, worker_env=env)
    try:
        async with Stack(config) as running:
            await gateway.ready("gateway ready", timeout_s=120)
            yield Place(stack=running, first_port=port, metrics_port=others.web)
    finally:
        await gateway.stop()


@pytest.fixture(scope="module")
def stack(place: Place) -> Stack:
    return place.stack


async def test_a_call_goes_on_whichever_stage_of_the_first_route_dies(
    place: Place, call: Callable[..., Caller], ears: Ears
) -> None:
    await call().voice.prepare([JOKE])
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        async with asyncio.timeout(30):
            while len(list((place.stack.folder / "phrases").glob("*.wav"))) < KEPT:
                await asyncio.sleep(0.1)
        # It stops hearing, writing, speaking in the middle of a sentence; then it is well.
        by_turn = [await answered(place, caller, ears, dies=stage) for stage in (*ROUTES, "")]

    heard, written, spoken, well = by_turn
    assert heard["stt"] == [second("stt")]
    assert written["llm"][-1] == second("llm")
    assert spoken["tts"][-1] == second("tts")
    assert well == {stage: [first(stage)] for stage in ROUTES}
    assert written["stt"] == spoken["stt"] == [first("stt")]  # returned to, turn by turn
    assert spoken["llm"] == [first("llm")]
    switches = [(e["stage"], e["failed"], e["next"]) for e in logged(place, "switched")]
    for stage in ROUTES:
        if stage != "llm":  # what died there may have been written ahead, for words that changed
            assert (stage, first(stage), second(stage)) in switches
            went_on = {"stage": stage, "next": second(stage)}
            assert await place.counted("parley_route_switches_total", **went_on) >= 1
        served = {"stage": stage, "route": second(stage)}
        assert await place.counted("parley_route_turns_total", **served) >= 1
        healed = {"route": first(stage), "state": "up"}
        assert await place.counted("parley_route_states_total", **healed) >= 1


async def answered(place: Place, caller: Caller, ears: Ears, *, dies: str) -> dict[str, list[str]]:
    """Ask with one stage broken, until it is answered in time; return the turn's routes."""
    for _ in range(TRIES):
        before = len(await turns(place, 0))
        known = len(caller.transcript.segments)
        reply, dead_air_s = await ask(place, caller, ears, dies=dies)
        assert wer(LAUGH, reply) <= WORST.get(dies, 0.15), reply
        assert reply.lower().strip(" .?!").endswith("feedback")
        said = [s for s in caller.transcript.segments[known:] if s.speaker == caller.identity]
        assert wer(JOKE, " ".join(s.text for s in said if s.final)) == 0.0
        routes = (await turns(place, before + 1))[-1]
        if dead_air_s <= LONGEST_DEAD_AIR_S:
            return routes
    raise AssertionError(f"{dies or 'well'}: {dead_air_s:.2f} s of dead air, {TRIES} times")


async def ask(place: Place, caller: Caller, ears: Ears, *, dies: str) -> tuple[str, float]:
    """Ask with one stage of the first gateway broken, and have it healed.

    Returns:
        What was heard, and the longest silence before and in it, in seconds.
    """
    await set_faults(place, [DIES[dies]] if dies else [])
    spoken = await caller.say(JOKE)
    await caller.hear_reply(silence_ms=REPLY_OVER_MS)
    spans = [span for span in caller.ear.activity.spans if span.end > spoken.end_s]
    silences = [round(gap, 2) for gap in gaps(spoken.end_s, spans)]
    logger.info("%s: silences of %s s", dies or "well", silences)
    fallen = await fired(place)
    await set_faults(place, [])
    if dies:
        assert fallen
        await healed(place, dies)
    heard = await ears.transcribe(caller.ear.audio(spoken.end_s, spans[-1].end))
    return MEANWHILE.sub("", heard), max(silences)


def gaps(start: float, spans: list[Span]) -> Iterator[float]:
    """Silences from a time on, up to the last sound."""
    for span in spans:
        yield max(0.0, span.start - start)
        start = max(start, span.end)


async def healed(place: Place, stage: str) -> None:
    """The newest that the worker said of a first route is that it is up again."""
    async with asyncio.timeout(30):
        while True:
            states = [e["state"] for e in logged(place, "route") if e["route"] == first(stage)]
            if states and states[-1] == "up":
                return
            await asyncio.sleep(0.1)


async def turns(place: Place, count: int) -> list[dict[str, list[str]]]:
    """The routes of the turns, once so many are logged."""
    async with asyncio.timeout(30):
        while True:
            records = [entry for entry in place.logged("parley.turn") if "parts" in entry]
            if len(records) >= count:
                return [record["routes"] for record in records]
            await asyncio.sleep(0.1)


def logged(place: Place, event: str) -> list[dict[str, Any]]:
    return [entry for entry in place.logged("parley.route") if entry["message"] == event]


async def set_faults(place: Place, faults: list[dict[str, Any]]) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.put(place.faults, json={"faults": faults}) as answer,
    ):
        answer.raise_for_status()


async def fired(place: Place) -> bool:
    async with aiohttp.ClientSession() as http, http.get(place.faults) as answer:
        return any(fault["fired"] for fault in (await answer.json())["faults"])
