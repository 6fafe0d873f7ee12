"""Calls with the real worker over the local gateway's real engines."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from livekit import api

from caller.ears import Ears
from caller.room import Caller
from demo.stack import Stack
from tests.wer import wer

RECORDING = Path(__file__).parent.parent / "audio" / "two_cities.wav"
RECORDED_WORDS = (
    "It was the best of times, it was the worst of times. It was the age of wisdom, it was the "
    "age of foolishness. It was the epoch of belief, it was the epoch of incredulity."
)
TRANSCRIPT_TIMEOUT_S = 10.0


async def test_a_human_voice_is_transcribed_through_plugin_and_gateway(
    call: Callable[..., Caller],
) -> None:
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.say(RECORDING)
        await caller.hear_reply()
        segments = caller.transcript.of(caller.identity)

    finals = [segment for segment in segments if segment.final]
    heard = " ".join(segment.text for segment in finals)
    assert wer(RECORDED_WORDS, heard) <= 0.10, heard
    assert any(segment.interims for segment in finals)
    for segment in finals:
        states = [update.final for update in segment.updates]
        assert states == sorted(states), "an interim came after its final"


async def test_an_order_is_written_and_spoken(
    call: Callable[..., Caller], stack: Stack, ears: Ears
) -> None:
    before = orders(stack)
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.say("Please order the usual.")
        reply = await caller.hear_reply()
    said = await ears.transcribe(reply.pcm)
    added = orders(stack) - before
    assert [item for _, item in added] == ["large coffee and a croissant"]
    assert "coffee" in said.lower(), said


async def test_goodbye_hangs_up_and_closes_the_room(
    call: Callable[..., Caller], stack: Stack, ears: Ears
) -> None:
    async with call(room="the-last-call") as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.say("Thank you. Goodbye!")
        reply = await caller.hear_reply()
        assert await caller.wait_for_end(10.0)
        assert await gone(stack, "the-last-call")
    assert "bye" in (await ears.transcribe(reply.pcm)).lower()


async def test_the_greeting_can_be_interrupted(call: Callable[..., Caller]) -> None:
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.barge_in("What is on my calendar tomorrow?", after_ms=800)
        reply = await caller.hear_reply()
    assert reply.barge_in_stop_ms is not None
    assert 0 < reply.barge_in_stop_ms < 1500


def orders(stack: Stack) -> set[tuple[int, str]]:
    with sqlite3.connect(stack.store_path) as db:
        rows = set(db.execute("SELECT number, item FROM orders"))
    db.close()
    return rows


async def gone(stack: Stack, room: str, timeout_s: float = 10.0) -> bool:
    """Whether a room ceases to exist."""
    wanted = api.ListRoomsRequest(names=[room])
    async with (
        asyncio.timeout(timeout_s),
        api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server,
    ):
        while (await server.room.list_rooms(wanted)).rooms:
            await asyncio.sleep(0.1)
    return True
