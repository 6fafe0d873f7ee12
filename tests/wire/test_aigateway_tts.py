"""Text to speech against a scripted server whose audio says which letters a caller would hear."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest
from livekit.agents.types import USERDATA_TTS_STARTED_TIME
from livekit.plugins import aigateway

from .aigateway_ears import RETRY_3
from .aigateway_harness import (
    Connection,
    letters_in,
    letters_of,
    pcm_of,
    synthesize,
    voice,
)
from .aigateway_voice import assert_well_formed, voice_of


async def test_a_reply_is_spoken_whole_and_reported_once() -> None:
    async with voice_of() as it:
        events = await it.say("Hello the", "re. How are ", "you?")
        assert_well_formed(events)
        assert letters_in(pcm_of(events)) == "HellothereHowareyou"
        assert len(it.metrics) == 1
        assert it.metrics[0].characters_count == len("Hello there. How are you?")
        assert 0 <= it.metrics[0].ttfb < 0.5
        assert it.connections[0].texts == ["Hello there.", "How are you?"]
        assert it.connections[0].request.headers["x-aig-tag"] == "voice.tts"
        query = dict(it.connections[0].request.query)
        assert query == {"model": "elevenlabs/eleven-turbo-v3", "voice": "rachel"}
        assert it.errors == []


async def test_a_reply_that_is_cut_off_is_reported_with_what_was_sent() -> None:
    async with voice_of() as it:
        async with it.engine.stream(conn_options=RETRY_3) as stream:
            stream.push_text("One, two, three. And then")
            await asyncio.wait_for(anext(stream), 1.0)
        assert [(m.characters_count, m.cancelled) for m in it.metrics] == [(16, True)]


async def test_who_listens_late_still_learns_when_the_text_was_sent() -> None:
    script = partial(synthesize, marker={"type": "flushed"}, speed=50.0)
    async with voice_of(script) as it, it.engine.stream(conn_options=RETRY_3) as stream:
        before = time.perf_counter()
        stream.push_text("Hello there.")
        stream.end_input()
        async with asyncio.timeout(2.0):
            while not it.metrics:
                await asyncio.sleep(0.01)
        event = await anext(stream)
        assert before <= event.frame.userdata[USERDATA_TTS_STARTED_TIME] <= time.perf_counter()


async def test_one_shot_synthesis_is_reported_once_too() -> None:
    async with voice_of() as it:
        async with it.engine.synthesize("One shot. And done.", conn_options=RETRY_3) as stream:
            events = [event async for event in stream]
        assert_well_formed(events)
        assert letters_in(pcm_of(events)) == "OneshotAnddone"
        assert len(it.metrics) == 1


@pytest.mark.parametrize("texts", [(), ("",), ("  ",)])
async def test_an_empty_reply_ends_at_once_without_a_socket(texts: tuple[str, ...]) -> None:
    async with voice_of() as it:
        started = time.monotonic()
        assert await it.say(*texts) == []
        assert time.monotonic() - started < 0.5
        assert it.errors == []
        assert [conn.texts for conn in it.connections] in ([], [[]])


async def test_text_without_a_letter_is_a_moment_of_silence() -> None:
    async with voice_of() as it:
        events = await it.say("...")
        assert letters_in(pcm_of(events)) == ""
        assert_well_formed(events)
        assert it.errors == []


async def test_a_sentence_is_sent_before_the_next_one_begins() -> None:
    async with voice_of() as it, it.engine.stream(conn_options=RETRY_3) as stream:
        stream.push_text("Your order has shipped.")
        event = await asyncio.wait_for(anext(stream), 1.0)
        assert event.frame.duration > 0
        stream.end_input()
        async for _ in stream:
            pass


async def test_markers_end_a_reply_at_once() -> None:
    script = partial(synthesize, marker={"type": "flushed"}, speed=50.0)
    async with voice_of(script) as it:
        started = time.monotonic()
        events = await it.say("One two three four five.")
        assert time.monotonic() - started < 0.8  # the audio itself lasts 1.3 s
        assert letters_in(pcm_of(events)) == letters_of("One two three four five.")
        assert it.engine.stats.quiet_ends == 0


async def test_end_of_input_message_and_close_end_a_reply() -> None:
    async def script(conn: Connection) -> None:
        async for msg in conn.ws:
            text = msg.json()["text"]
            conn.texts.append(text)
            if not text:
                await conn.ws.close()
                return
            await conn.ws.send_bytes(voice(text))

    async with voice_of(script, end_of_input="empty") as it:
        started = time.monotonic()
        events = await it.say("One two three four five.")
        assert time.monotonic() - started < 0.5
        assert letters_in(pcm_of(events)) == letters_of("One two three four five.")
        assert it.connections[0].texts[-1] == ""


async def test_a_new_voice_is_used_from_the_next_reply_on() -> None:
    async with voice_of() as it:
        it.engine.prewarm()
        await it.spare()
        it.engine.update_options(voice="adam")
        await it.say("Hello there.")
        spoken = [conn for conn in it.connections if conn.texts]
        assert [conn.request.query["voice"] for conn in spoken] == ["adam"]


# -- the pool ------------------------------------------------------------------------------------


async def test_replies_start_on_a_warm_socket() -> None:
    async with voice_of() as it:
        it.engine.prewarm()
        for _ in range(3):
            await it.spare()
            await it.say("Hello there.")
        assert [metric.connection_reused for metric in it.metrics] == [True] * 3
        assert all(metric.acquire_time < 0.01 for metric in it.metrics)
        assert it.engine.stats.cold_starts == 0
        assert all(len(conn.texts) <= 1 for conn in it.connections)  # one socket a reply


async def test_a_spare_that_dies_is_replaced_before_it_is_needed() -> None:
    async def dies_idle(conn: Connection) -> None:
        await asyncio.sleep(0.1)
        conn.reset()

    async with voice_of(dies_idle, synthesize) as it:
        it.engine.prewarm()
        await it.spare()
        await asyncio.sleep(0.6)
        events = await it.say("Hello there.")
        assert letters_in(pcm_of(events)) == "Hellothere"
        assert it.engine.stats.cold_starts == 0
        assert it.errors == []


async def test_an_old_spare_is_replaced() -> None:
    async with voice_of(timeouts=aigateway.TTSTimeouts(spare_max_age_s=0.2)) as it:
        it.engine.prewarm()
        await asyncio.sleep(0.7)
        assert it.engine.stats.connections >= 3
        assert it.server.open <= 2


async def test_a_spare_that_spoke_before_it_was_asked_is_not_used() -> None:
    async def babbles(conn: Connection) -> None:
        await conn.ws.send_bytes(voice("stale"))
        await synthesize(conn)

    async with voice_of(babbles, synthesize) as it:
        it.engine.prewarm()
        await it.spare()
        await asyncio.sleep(0.1)
        assert letters_in(pcm_of(await it.say("Fresh."))) == "Fresh"
