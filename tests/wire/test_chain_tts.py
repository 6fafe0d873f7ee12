"""A chain of voices on real sockets: every letter is said, and none twice."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from livekit.agents import APIError, tts

from agent.chain.settings import ChainSettings

from .aigateway_harness import (
    Connection,
    ScriptedServer,
    black_hole,
    hold,
    letters_in,
    letters_of,
    pcm_of,
    synthesize,
)
from .chain_harness import NAMES, WAITS, chain_voice, two_servers

LONG = "The order has been shipped today. It will arrive on Monday morning. Anything else?"
STOPS_MS = 2000


async def close_at_once(conn: Connection) -> None:
    """Accept, then close."""
    await conn.ws.close(code=1011)


async def dies(conn: Connection) -> None:
    """Say some of it, then reset."""
    await synthesize(conn, stop_after_ms=STOPS_MS)
    conn.reset()


def dead_after_some(server: ScriptedServer) -> None:
    server.tts = [dies, close_at_once]


async def test_a_voice_that_dies_in_the_middle_is_gone_on_with_by_the_next() -> None:
    async with two_servers() as (first, second):
        dead_after_some(first)
        async with chain_voice(first.url, second.url) as it:
            events = await it.say(LONG)
    said = letters_in(pcm_of(events))
    assert_whole(said)
    assert it.served.routes == list(NAMES)
    rest = " ".join(text for connection in second.connections["tts"] for text in connection.texts)
    assert LONG.endswith(rest), rest
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert len({event.request_id for event in events}) == 1


def assert_whole(said: str) -> None:
    """All of `LONG`, and at the seam at most a word twice: what was heard of it is an estimate."""
    whole = letters_of(LONG)
    head = next(n for n in range(len(whole), 0, -1) if said.startswith(whole[:n]))
    tail = next(n for n in range(len(whole), -1, -1) if said.endswith(whole[len(whole) - n :]))
    assert head >= STOPS_MS / 70 - 5
    assert -12 <= len(whole) - head - tail <= 1, said


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_all_routes_sound_at_the_first_ones_rate(rate: int) -> None:
    async with two_servers() as (first, second):
        first.refuse_with = 503
        async with chain_voice(first.url, second.url, rates=(24_000, rate)) as it:
            events = await it.say("It has shipped.")
    assert {event.frame.sample_rate for event in events} == {24_000}
    samples = sum(event.frame.samples_per_channel for event in events)
    # the scripted voice says 24 kHz whatever it is asked for
    assert samples / 24_000 == pytest.approx(12 * 0.07 * 24_000 / rate, abs=0.05)


async def test_a_voice_that_never_begins_is_left_in_time() -> None:
    async with two_servers() as (first, second):
        first.tts = [hold]
        async with chain_voice(first.url, second.url) as it:
            loop = asyncio.get_running_loop()
            began = loop.time()
            events = await it.say(LONG)
            took_s = loop.time() - began
    assert letters_in(pcm_of(events)) == letters_of(LONG)
    assert it.served.routes == [NAMES[1]]
    assert took_s < 10  # far below what a plugin alone would have waited


async def test_accept_and_close_and_no_answer_at_all() -> None:
    async with two_servers() as (first, second), black_hole() as nowhere:
        first.tts = [close_at_once]
        async with chain_voice(first.url, second.url) as it:
            assert letters_in(pcm_of(await it.say("It has shipped."))) == "Ithasshipped"
        async with chain_voice(nowhere, second.url) as it:
            assert letters_in(pcm_of(await it.say("It has shipped."))) == "Ithasshipped"


async def test_no_text_and_nothing_to_say_ask_nobody_and_harm_nobody() -> None:
    async with two_servers() as (first, second), chain_voice(first.url, second.url) as it:
        assert not await it.say()
        silence = await it.say("…")
        assert silence
        assert not any(pcm_of(silence))
        assert all(route.available for route in it.chain.members.routes)
        assert not it.served.routes
    assert not any(connection.texts for connection in first.connections["tts"])


async def test_all_routes_down_is_an_error() -> None:
    async with two_servers() as (first, second):
        first.refuse_with = second.refuse_with = 503
        async with chain_voice(first.url, second.url) as it:
            errors: list[tts.TTSError] = []
            it.chain.on("error", errors.append)
            with pytest.raises(APIError):
                await it.say("It has shipped.")
    assert not errors[-1].recoverable


async def test_a_barge_in_during_a_switch_leaves_nothing() -> None:
    async with two_servers() as (first, _), black_hole() as nowhere:
        dead_after_some(first)
        patient = ChainSettings(connect_s=30)
        async with chain_voice(first.url, nowhere, waits=patient) as it:
            stream = it.chain.stream()
            stream.push_text(LONG)
            stream.end_input()
            heard_s = 0.0
            while not it.chain.members.routes[0].out_of_order:
                heard_s += (await anext(stream)).frame.duration if heard_s < 1.5 else 0.0
                await asyncio.sleep(0.02)
            await stream.aclose()
            assert it.chain.members.routes[1].available


async def test_a_healed_voice_speaks_again() -> None:
    async with two_servers() as (first, second):
        first.refuse_with = 503
        async with chain_voice(first.url, second.url) as it:
            await it.say("It has shipped.")
            first.refuse_with = None
            async with asyncio.timeout(10):
                while it.chain.members.routes[0].out_of_order:
                    await asyncio.sleep(0.05)
            await it.say("It has shipped.")
    assert it.served.routes == [NAMES[1], NAMES[0]]


async def test_text_that_is_still_being_written_goes_to_whoever_speaks() -> None:
    async with two_servers() as (first, second):
        first.tts = [partial(synthesize, stop_after_ms=500), close_at_once]
        async with chain_voice(first.url, second.url) as it, it.chain.stream() as stream:
            hearing = asyncio.create_task(collect(stream))
            stream.push_text("It has left the house today. ")
            async with asyncio.timeout(10):
                while not it.chain.members.routes[0].out_of_order:
                    await asyncio.sleep(0.02)
            stream.push_text("It arrives on Mon")
            stream.push_text("day.")
            stream.end_input()
            said = letters_in(pcm_of(await hearing))
    assert said.endswith("ItarrivesonMonday")
    assert said.startswith("Ithasle")


async def collect(stream: tts.SynthesizeStream) -> list[tts.SynthesizedAudio]:
    return [event async for event in stream]


def test_the_waits_together_are_less_than_dead_air_may_be() -> None:
    """Stall, one more socket of the same voice, and the next voice."""
    assert WAITS.stall_s + WAITS.first_audio_s < 2.5 - 0.5
