"""The agent calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import api

from agent.config import Settings, load_settings
from agent.phone.dialing import Dialled, dial
from agent.phone.numbers import DialRefused
from agent.phone.outcome import Outcome
from caller.ears import Ears
from caller.phone import PhoneCaller
from caller.sip.phone import Phone
from caller.voice import Voice
from demo.phone import Extension
from demo.stack import Stack
from tests.phone.conftest import SECOND
from tests.phone.hearing import hears
from tests.phone.test_inbound import no_rooms

WAIT_S = 20.0
MACHINE = (
    "You have reached the Miller family. We are not at home right now. "
    "Please leave a message after the tone."
)


@pytest_asyncio.fixture(loop_scope="session")
async def server(stack: Stack, extension: Extension) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as running:
        yield running


@pytest.fixture
def settings() -> Settings:
    plain = load_settings()
    phone = plain.phone.model_copy(update={"allow": SECOND, "ring_s": 10.0})
    return plain.model_copy(update={"phone": phone})


def placed(server: api.LiveKitAPI, settings: Settings) -> asyncio.Task[Dialled]:
    return asyncio.create_task(dial(server, SECOND, settings, say=print))


async def answered(second: Phone, voice: Voice) -> PhoneCaller:
    """Somebody who picks the second phone up."""
    call = await (await second.ringing(timeout_s=WAIT_S)).answer()
    person = PhoneCaller(second.uri, voice=voice)
    person.take_over(call)
    return person


async def test_a_person_answers_and_is_greeted(
    server: api.LiveKitAPI, settings: Settings, second: Phone, voice: Voice, ears: Ears,
    stack: Stack,
) -> None:  # fmt: skip
    call = placed(server, settings)
    person = await answered(second, voice)
    await asyncio.sleep(0.5)
    await person.say("Hello?")
    await hears(person, ears, "help", "what can i do", "order")
    dialled = await call
    assert (dialled.outcome, dialled.answered_by) == (Outcome.ANSWERED, "human")
    await person.say("What is on my calendar tomorrow?")
    await hears(person, ears, "dentist")
    await person.call.hang_up()
    await no_rooms(stack)


async def test_an_answering_machine_is_hung_up_on(
    server: api.LiveKitAPI, settings: Settings, second: Phone, voice: Voice,
    stack: Stack,
) -> None:  # fmt: skip
    call = placed(server, settings)
    machine = await answered(second, voice)
    await machine.say(MACHINE)
    assert (await call).outcome is Outcome.VOICEMAIL
    assert await machine.wait_for_end(WAIT_S)
    await no_rooms(stack)


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [(486, "Busy Here", Outcome.BUSY), (403, "Forbidden", Outcome.REJECTED)],
)
async def test_a_refusal_is_told(
    server: api.LiveKitAPI, settings: Settings, second: Phone, stack: Stack, status: int,
    reason: str, outcome: Outcome,
) -> None:  # fmt: skip
    call = placed(server, settings)
    (await second.ringing(timeout_s=WAIT_S)).reject(status, reason)
    dialled = await call
    assert (dialled.outcome, dialled.status) == (outcome, status)
    await no_rooms(stack)


async def test_giving_up_while_it_rings_cancels_the_call(
    server: api.LiveKitAPI, settings: Settings, second: Phone, stack: Stack
) -> None:
    call = placed(server, settings)
    ringing = await second.ringing(timeout_s=WAIT_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(ringing.cancelled.wait(), WAIT_S)
    await no_rooms(stack)


async def test_nobody_answers(
    server: api.LiveKitAPI, settings: Settings, second: Phone, stack: Stack
) -> None:
    hurried = settings.phone.model_copy(update={"ring_s": 2.0})
    call = placed(server, settings.model_copy(update={"phone": hurried}))
    ringing = await second.ringing(timeout_s=WAIT_S)
    assert (await call).outcome is Outcome.NO_ANSWER
    await asyncio.wait_for(ringing.cancelled.wait(), WAIT_S)
    await no_rooms(stack)


@pytest.mark.parametrize("number", ["+1 900 555 0100", "112", "201"])
async def test_a_number_that_is_not_allowed_is_not_called(
    server: api.LiveKitAPI, settings: Settings, second: Phone, number: str
) -> None:
    with pytest.raises(DialRefused):
        await dial(server, number, settings, say=print)
    assert second._ringing.empty()
