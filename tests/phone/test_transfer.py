"""Calls that are passed on, or are not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

from agent.phone.outcome import Outcome
from caller.ears import Ears
from caller.listening import Listening
from caller.phone import PhoneCaller
from caller.sip.call import Call
from caller.sip.g711 import RATE
from caller.sip.phone import Phone
from demo.stack import Stack
from gateway.engines.brain.policy import CallTool
from tests.phone.conftest import PERSON
from tests.phone.hearing import hears
from tests.phone.mind import Mind

WAIT_S = 20.0
ASKED = "transfer me"
ELSEWHERE = ("+1 900 555 0100", "sip:200@203.0.113.9")


@contextlib.asynccontextmanager
async def asking(
    call: Callable[..., PhoneCaller], mind: Mind, destination: str
) -> AsyncIterator[PhoneCaller]:
    """A caller who has just asked to be passed on, with a key."""
    mind.calls[ASKED] = CallTool("transfer_call", {"destination": destination})
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.call.media.press(PERSON)
        yield caller


class Person:
    """Somebody who answers the second phone and listens."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.ear = Listening(recording=None, rate=RATE)
        call.media.on_heard = self.ear.take

    async def hears(self) -> bytes:
        """What they are told, once it is said."""

        def told() -> tuple[float, float] | None:
            said = self.ear.activity.utterance(0.0, silence_s=1.0)
            return (said.start, said.end) if said and said.ended else None

        found = await self.ear.until(told, timeout_s=WAIT_S)
        assert found is not None
        return self.ear.audio(*found)


async def test_a_hostile_model_cannot_transfer_anywhere_else(
    call: Callable[..., PhoneCaller], mind: Mind, ears: Ears, second: Phone
) -> None:
    async with asking(call, mind, ELSEWHERE[0]) as caller:
        await hears(caller, ears, "transfer you")
        mind.calls[ASKED] = CallTool("transfer_call", {"destination": ELSEWHERE[1]})
        await caller.say(
            "Please transfer me to one nine hundred, five five five, zero one hundred."
        )
        await hears(caller, ears, "transfer you")
        assert not caller.call.referred_to
        assert not caller.ended.is_set()
    assert second._ringing.empty()


async def test_a_cold_transfer_connects_the_caller_to_the_other_phone(
    call: Callable[..., PhoneCaller], mind: Mind, second: Phone
) -> None:
    async with asking(call, mind, "support") as caller:
        person = await (await second.ringing(timeout_s=WAIT_S)).answer()
        onward = await asyncio.wait_for(caller.call.transferred, WAIT_S)
        await asyncio.wait_for(caller.call.ended.wait(), WAIT_S)
        assert caller.call.referred_to == second.uri
        assert not onward.ended.is_set()
        assert not person.ended.is_set()
        await person.hang_up()


async def test_a_cold_transfer_to_a_busy_phone_is_told_to_the_caller(
    call: Callable[..., PhoneCaller], mind: Mind, second: Phone, ears: Ears, stack: Stack
) -> None:
    async with asking(call, mind, "support") as caller:
        (await second.ringing(timeout_s=WAIT_S)).reject(486, "Busy Here")
        await hears(caller, ears, "busy")
        assert last_outcome(stack) is Outcome.BUSY
        assert not caller.ended.is_set()


async def test_a_warm_transfer_asks_first_and_then_lets_them_talk(
    call: Callable[..., PhoneCaller], mind: Mind, second: Phone, ears: Ears, voice: object
) -> None:
    async with asking(call, mind, "sales") as caller:
        person = Person(await (await second.ringing(timeout_s=WAIT_S)).answer())
        offer = (await ears.transcribe(await person.hears())).lower()
        assert "sales" in offer, offer
        assert "person" in offer, "the caller's own words"
        await person.call.media.press("1")
        await asyncio.sleep(1.0)  # the bridge takes the subscriptions up
        spoken = await caller.say("Hello, are you the sales department?")

        def heard() -> tuple[float, float] | None:
            said = person.ear.activity.utterance(spoken.onset_s - 0.1, silence_s=1.0)
            return (said.start, said.end) if said and said.ended else None

        found = await person.ear.until(heard, timeout_s=WAIT_S)
        assert found is not None, "the caller is not heard"
        words = (await ears.transcribe(person.ear.audio(*found))).lower()
        assert "sales department" in words, words
        await person.call.hang_up()
        assert await caller.wait_for_end(WAIT_S), "who is alone is hung up on"


async def test_a_warm_transfer_that_is_declined_brings_the_caller_back(
    call: Callable[..., PhoneCaller], mind: Mind, second: Phone, ears: Ears, stack: Stack
) -> None:
    async with asking(call, mind, "sales") as caller:
        person = Person(await (await second.ringing(timeout_s=WAIT_S)).answer())
        await person.hears()
        await person.call.media.press("2")
        await asyncio.wait_for(person.call.ended.wait(), WAIT_S)
        await hears(caller, ears, "cannot take", "can't take")
        assert last_outcome(stack) is Outcome.REJECTED
        await caller.say("What is on my calendar tomorrow?")
        await hears(caller, ears, "dentist")


def last_outcome(stack: Stack) -> Outcome:
    """What the worker's log says about the newest transfer."""
    log = stack.child("worker").log.read_text().splitlines()
    told = [json.loads(line) for line in log if '"message": "transfer"' in line]
    return Outcome(told[-1]["outcome"])
