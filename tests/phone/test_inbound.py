"""Calls that come in: what is said is understood, and who may not call does not get through."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from livekit import api

from agent.phone.trunks import CALLER as ATTRIBUTE
from caller.ears import Ears
from caller.phone import PhoneCaller
from caller.script import load_script
from caller.sip.call import CallRefused
from caller.sip.digest import Credentials
from caller.sip.network import Line
from caller.sip.phone import Phone
from caller.voice import Voice
from demo.phone import Extension, rehearse
from demo.run import SCRIPT
from demo.stack import Stack
from gateway.engines.brain.policy import CallTool
from tests.phone.conftest import CALENDAR, CUSTOMER, MAX_CALLS, ORDER, PIN, PROOF
from tests.phone.hearing import hears
from tests.phone.mind import Mind
from tests.room.test_conversation import RECORDED_WORDS, RECORDING
from tests.wer import wer

CALLER = "+4930987654"
BAD_LINE = Line(loss=0.03, jitter_ms=40)
WAIT_S = 20.0
CROWD_S = 60.0
"""How long the greeting may take when more calls come than there are warm processes: on two busy
cores, starting one takes 5 to 20 s."""


async def test_the_demo_conversation_passes_over_the_phone(
    extension: Extension, voice: Voice, ears: Ears, tmp_path: Path
) -> None:
    recording = tmp_path / "call.wav"
    result = await rehearse(
        extension, load_script(SCRIPT), voice=voice, ears=ears, record=recording
    )  # fmt: skip
    assert result.ok, result.to_json()
    assert result.ended == "the agent hung up"
    assert recording.stat().st_size > 1_000_000
    replies = [turn.reply_ms for turn in result.turns if turn.reply_ms is not None]
    assert replies
    assert all(0 < ms < 10_000 for ms in replies)


@pytest.mark.parametrize("line", [Line(), BAD_LINE], ids=["perfect", "bad"])
async def test_a_human_voice_is_understood_over_the_phone(
    call: Callable[..., PhoneCaller], mind: Mind, line: Line
) -> None:
    async with call(codec="PCMA", line=line) as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        since = len(mind.requests)
        await caller.say(RECORDING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while wer(RECORDED_WORDS, mind.heard(since)) > 0.20:
                    await asyncio.sleep(0.1)
    heard = mind.heard(since)
    assert wer(RECORDED_WORDS, heard) <= 0.20, heard


@pytest.mark.parametrize(
    ("password", "status"), [("wrong", (401, 403, 407)), (None, (401, 403, 407))]
)
async def test_a_call_without_the_password_is_refused(
    extension: Extension, stack: Stack, password: str | None, status: tuple[int, ...]
) -> None:
    await no_rooms(stack)
    guess = Credentials(user="phone", password=password) if password else None
    async with Phone(credentials=guess) as phone:
        with pytest.raises(CallRefused) as refused:
            await phone.dial(extension.uri, ring_s=WAIT_S)
    assert refused.value.status in status
    assert not await rooms(stack)


async def test_an_unknown_number_is_not_answered(extension: Extension, stack: Stack) -> None:
    await no_rooms(stack)
    async with Phone(credentials=extension.credentials) as phone:
        with pytest.raises(CallRefused) as refused:
            await phone.dial(extension.uri.replace("sip:100@", "sip:999@"), ring_s=1.0)
    assert refused.value.status in (404, 408, 487)
    assert not await rooms(stack)


async def test_a_callers_number_opens_no_account_but_the_pin_does(
    call: Callable[..., PhoneCaller], mind: Mind, stack: Stack, ears: Ears
) -> None:
    mind.calls["check who i am"] = CallTool("verify_caller", {"email": CUSTOMER})
    before = orders(stack)
    async with call(number=CUSTOMER.partition("@")[0]) as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.call.media.press(ORDER)
        await hears(caller, ears, "mail")
        assert orders(stack) == before
        for pin, wanted in (("0000", "match"), (PIN, "thank")):
            await caller.call.media.press(PROOF)
            await hears(caller, ears, "pin", "pound", "keys")
            await caller.call.media.press(f"{pin}#")
            await hears(caller, ears, wanted)
        await caller.call.media.press(ORDER)
        await hears(caller, ears, "coffee")
    assert len(orders(stack) - before) == 1
    assert all(PIN not in m.text for r in mind.requests for m in r.messages)


async def test_a_key_of_the_menu_is_a_question_and_no_log_shows_who_called(
    call: Callable[..., PhoneCaller], ears: Ears, stack: Stack
) -> None:
    async with call(number=CALLER) as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.call.media.press(CALENDAR)
        await hears(caller, ears, "dentist")
        (room,) = await rooms(stack)
        assert f"sip:{CALLER}@" in await from_header(stack, room)
    await no_rooms(stack)
    for name in ("worker", "livekit-server"):
        log = stack.child(name).log.read_text()
        assert room in log, "it tells of the call"
        assert CALLER.lstrip("+") not in log, name


async def test_calls_one_after_the_other_and_as_many_at_once_as_there_are_lines(
    call: Callable[..., PhoneCaller], stack: Stack, ears: Ears
) -> None:
    for _ in range(10):
        async with call() as caller:
            await caller.wait_for_agent(CROWD_S)
            assert not caller.ended.is_set(), "dropped"
    await no_rooms(stack)
    at_once = [call() for _ in range(MAX_CALLS)]
    try:
        await asyncio.gather(*(caller.__aenter__() for caller in at_once))
        await asyncio.gather(*(caller.wait_for_agent(CROWD_S) for caller in at_once))
        async with call() as one_too_many:
            await one_too_many.wait_for_agent(CROWD_S)
            await hears(one_too_many, ears, "busy")
            assert await one_too_many.wait_for_end(WAIT_S)
        assert not any(caller.ended.is_set() for caller in at_once), "a call was dropped"
    finally:
        await asyncio.gather(*(caller.__aexit__(None, None, None) for caller in at_once))
    await no_rooms(stack)


async def from_header(stack: Stack, room: str) -> str:
    """What the caller's attribute says."""
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        listed = await server.room.list_participants(api.ListParticipantsRequest(room=room))
    return next(p.attributes[ATTRIBUTE] for p in listed.participants if ATTRIBUTE in p.attributes)


def orders(stack: Stack) -> set[int]:
    db = sqlite3.connect(stack.store_path)
    numbers = {row[0] for row in db.execute("SELECT number FROM orders")}
    db.close()
    return numbers


async def rooms(stack: Stack) -> list[str]:
    """Names of the rooms with a call in them."""
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        return [room.name for room in (await server.room.list_rooms(api.ListRoomsRequest())).rooms]


async def no_rooms(stack: Stack) -> None:
    """Wait until every call is over."""
    async with asyncio.timeout(WAIT_S):
        while await rooms(stack):
            await asyncio.sleep(0.1)
