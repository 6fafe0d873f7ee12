"""One conversation over every way of hearing, thinking and speaking that settings can choose.

A media server and a local gateway that stands in for all vendors serve all profiles; each profile
is a worker with settings of its own, started while the call before it is going on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from livekit.agents.utils import shortuuid

from caller.ears import Ears
from caller.party import Heard
from caller.room import Caller
from caller.voice import Voice
from demo.processes import Child
from demo.stack import Ports, Stack, StackConfig
from drills.results import sounds_like
from tests.profiles import PROFILES

QUESTION = "Can you look up my order for peter at example dot com?"
GOODBYE = "Goodbye!"
IN_ROOMS = [name for name in PROFILES if name not in ("aigateway-opus", "elevenlabs")]
"""Those two differ from others in one stage, and tests/fault has them without a room."""
CANNOT = "cannot do that"
"""What a model says that is offered no tools."""


FEW_PHRASES = {
    "AGENT_OPENERS": "",
    "AGENT_GUARD_FILLER_AFTER_S": "10",  # a filler is not the answer
    **{f"AGENT_GUARD_{p}": "Sorry." for p in ("FILLER", "APOLOGY", "BROKE_OFF", "CANNOT_HEAR")},
}
"""Every profile has another voice, whose phrases are made in its first call: on two cores that also
recognise and speak, a few must do."""


class Workers:
    """The workers of the profiles, one call each: the next one starts while one is called."""

    def __init__(self, stack: Stack, order: list[str]) -> None:
        self.stack = stack
        self._order = order
        self._started = {order[0]: stack.child("worker")}

    async def ready(self, name: str) -> Child:
        await self._start(name)
        await self.stack.worker_registered(self._started[name])
        for following in self._order[self._order.index(name) + 1 :][:1]:
            await self._start(following)
        return self._started[name]

    async def stop(self, name: str) -> None:
        """Stop a worker; the test that is run once more gets a fresh one."""
        await self._started.pop(name).stop()

    async def _start(self, name: str) -> None:
        if name not in self._started:
            self._started[name] = await self.stack.start_worker(name, settings(name, self.stack))


def settings(name: str, stack: Stack) -> dict[str, str]:
    """The environment of a profile's worker."""
    profile = PROFILES[name].env(stack.gateway_url, stack.gateway_key)
    return profile | FEW_PHRASES | {"AGENT_NAME": name}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def workers(request: pytest.FixtureRequest) -> AsyncIterator[Workers]:
    wanted = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
    ]
    env: dict[str, str] = {}
    stack = Stack(StackConfig(Ports.free(), gateway_args=["--stand-in"], worker_env=env))
    env |= settings(wanted[0], stack)  # the stack's own worker serves the first call
    async with stack:
        yield Workers(stack, wanted)


@pytest.mark.parametrize("name", IN_ROOMS)
async def test_one_conversation_passes_over_each_profile(
    name: str, workers: Workers, voice: Voice, ears: Ears
) -> None:
    worker = await workers.ready(name)
    try:
        call = await converse(name, workers.stack, voice)
    finally:
        await workers.stop(name)

    assert call.answer.barge_in_stop_ms is not None
    assert 0 < call.answer.barge_in_stop_ms < 2000
    said = await ears.transcribe(call.answer.pcm)
    assert sounds_like("desk lamp" if PROFILES[name].has_tools else CANNOT, said), said
    assert "bye" in (await ears.transcribe(call.farewell.pcm)).lower()
    assert call.hung_up
    assert "order" in call.captions
    assert "bye" in call.captions
    # one line a turn in the log, with what the caller waited
    assert len(round_trips(worker)) >= 1


@dataclass(frozen=True)
class Call:
    """What came of a call."""

    answer: Heard
    farewell: Heard
    hung_up: bool
    captions: str
    """What the room says that the caller said."""


async def converse(name: str, stack: Stack, voice: Voice) -> Call:
    """Interrupt the greeting with a question, hear the answer, say goodbye."""
    caller = Caller(
        stack.livekit_url,
        stack.api_key,
        stack.api_secret,
        room=shortuuid("test-"),
        agent_name=name,
        voice=voice,
    )
    async with caller:
        await caller.wait_for_agent()
        await caller.barge_in(QUESTION, after_ms=800)
        answer = await caller.hear_reply()
        await caller.say(GOODBYE)
        farewell = await caller.hear_reply()
        hung_up = await caller.wait_for_end(10.0)
        said = (part for part in caller.transcript.of(caller.identity) if part.final)
        captions = " ".join(part.text for part in said).lower()
    return Call(answer, farewell, hung_up, captions)


def round_trips(worker: Child) -> list[float]:
    """Milliseconds of each turn, as the worker's log has them."""
    lines = (line for line in worker.log.read_text().splitlines() if line.startswith("{"))
    records = (json.loads(line) for line in lines)
    return [record["total_ms"] for record in records if record.get("message") == "turn"]
