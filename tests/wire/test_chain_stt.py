"""A chain of recognisers on real sockets: no word is lost or doubled, whoever dies when."""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
import pytest
from livekit.agents import APIError, stt
from livekit.plugins import aigateway

from agent.chain import stt_stream

from .aigateway_ears import T, reset_after
from .aigateway_harness import (
    STT_RATE,
    WORDS,
    Connection,
    Ears,
    ScriptedServer,
    black_hole,
    hold,
    say,
    silence,
    speak,
    transcribe,
)
from .chain_harness import NAMES, chain_ear, two_servers


async def close_at_once(conn: Connection) -> None:
    """Accept, then close."""
    await conn.ws.close(code=1011)


async def hear_all(conn: Connection) -> None:
    """Recognise, and make something of the sentence of a probe too."""
    ears, heard = Ears(), False
    async for message in conn.ws:
        if message.type is aiohttp.WSMsgType.BINARY:
            for told in ears.hear(message.data):
                heard = True
                await conn.send(told)
        elif "CloseStream" in message.data:
            if not heard:
                await conn.send({"is_final": True, "transcript": "something"})
            await conn.ws.close()


def dies(server: ScriptedServer, after_ms: float) -> None:
    """It resets its first connection after so much audio, and closes all others at once."""
    server.stt = [partial(reset_after, ms=after_ms), close_at_once]


async def test_a_route_that_dies_in_the_middle_of_a_sentence_loses_and_doubles_nothing() -> None:
    async with two_servers() as (first, second):
        dies(first, 1000)
        async with chain_ear(first.url, second.url) as it:
            await speak(it.stream, say(WORDS[:8]))
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:8])]
    heard.assert_in_order()
    assert it.served.routes == [NAMES[1]]
    assert not heard.errors  # the session need not know


async def test_what_a_final_covers_is_not_heard_again_and_times_go_on() -> None:
    once = say(WORDS[:3])
    async with two_servers() as (first, second):
        dies(first, len(once) / 2 / STT_RATE * 1000 + 500)
        async with chain_ear(first.url, second.url) as it:
            await speak(it.stream, once + say(WORDS[3:8]))
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:3]), " ".join(WORDS[3:8])]
    heard.assert_in_order()
    second_said = heard.of(T.FINAL_TRANSCRIPT)[1].alternatives[0]
    assert second_said.start_time == pytest.approx(len(once) / 2 / STT_RATE, abs=0.1)
    assert it.served.routes == list(NAMES)


async def test_a_route_that_accepts_and_closes_is_left_for_the_next() -> None:
    async with two_servers() as (first, second):
        first.stt = [close_at_once]
        async with chain_ear(first.url, second.url) as it:
            await speak(it.stream, say(WORDS[:5]))
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:5])]


async def test_a_route_that_never_answers_a_handshake_is_left_for_the_next() -> None:
    async with (
        two_servers() as (_, second),
        black_hole() as nowhere,
        chain_ear(nowhere, second.url) as it,
    ):
        await speak(it.stream, say(WORDS[:5], pause_ms=2500))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:5])]


async def test_a_final_that_is_owed_is_fetched_from_the_next_route() -> None:
    async def falls_silent(conn: Connection) -> None:
        await transcribe(conn, until_ms=1000)
        await hold(conn)

    async with two_servers() as (first, second):
        first.stt = [falls_silent, close_at_once]
        # a plugin that would wait for longer than a chain can
        patient = aigateway.STTTimeouts(final_s=30, silence_watchdog_s=30)
        async with chain_ear(first.url, second.url, timeouts=patient) as it:
            await speak(it.stream, say(WORDS[:5], pause_ms=2500))
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:5])]
    heard.assert_in_order()


async def test_a_healed_route_is_returned_to_between_utterances() -> None:
    async with two_servers() as (first, second):
        dies(first, 600)
        async with chain_ear(first.url, second.url) as it:
            # the second sentence is under way when the probe goes well: its route keeps it
            speaking = asyncio.create_task(
                speak(it.stream, say(WORDS[:4]) + say(WORDS * 2, pause_ms=1500) + say(WORDS[4:8]))
            )
            await asyncio.sleep(1.5)
            first.stt = [hear_all]
            await speaking
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:4]), " ".join(WORDS * 2), " ".join(WORDS[4:8])]
    heard.assert_in_order()
    assert it.served.routes == [NAMES[1], NAMES[1], NAMES[0]]


async def test_all_routes_down_is_an_error_and_speech_is_kept_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stt_stream, "_OUTAGE_S", 1.0)
    async with two_servers() as (first, second):
        first.stt = second.stt = [close_at_once]
        async with chain_ear(first.url, second.url) as it:
            await speak(it.stream, say(WORDS[:2], pause_ms=200))
            heard = await it.finish()
    assert isinstance(heard.raised, APIError)
    assert not heard.raised.retryable
    assert [error.recoverable for error in heard.errors] == [False]

    async with two_servers() as (first, second):
        first.stt = second.stt = [close_at_once, close_at_once, transcribe]
        async with chain_ear(first.url, second.url) as it:
            await speak(it.stream, say(WORDS[:6]))
            heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]


async def test_noise_that_nobody_transcribes_ends_the_stream_all_the_same() -> None:
    noise = b"\x00\x08\x00\xf8" * (STT_RATE // 2)  # a second, below what counts as a word
    async with two_servers() as (first, second), chain_ear(first.url, second.url) as it:
        await speak(it.stream, noise + silence(300), speed=2)
        heard = await it.finish()
    assert not heard.finals
    assert heard.raised is None


async def test_a_stream_that_is_closed_in_the_middle_of_a_switch_leaves_nothing() -> None:
    async with two_servers() as (first, second), black_hole() as nowhere:
        dies(first, 300)
        async with chain_ear(first.url, nowhere) as it:
            await speak(it.stream, say(WORDS[:3], pause_ms=100))
            assert isinstance(it.stream, stt.RecognizeStream)
    assert not second.connections["stt"]
