"""What faults do to text to speech: which letters a caller would hear, and how often."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError
from livekit.plugins import aigateway

from .aigateway_ears import RETRY_3
from .aigateway_harness import (
    KEY,
    Connection,
    Handler,
    hold,
    letters_in,
    letters_of,
    pcm_of,
    synthesize,
)
from .aigateway_voice import LONG, assert_well_formed, voice_of


async def test_F06_spares_that_close_at_once_are_no_hot_loop() -> None:
    async def slam(conn: Connection) -> None:
        await conn.ws.close(code=1011)

    async with voice_of(slam) as it:
        it.engine.prewarm()
        await asyncio.sleep(1.0)
        assert 2 <= len(it.connections) <= 20


async def test_F14_odd_bytes_are_carried() -> None:
    async with voice_of(partial(synthesize, chunk_bytes=1001, speed=30.0)) as it:
        events = await it.say("Every byte counts here.")
        assert letters_in(pcm_of(events)) == letters_of("Every byte counts here.")
        assert it.faults == {}


async def test_F17_no_first_audio_is_retried_within_the_deadline() -> None:
    timeouts = aigateway.TTSTimeouts(first_audio_s=0.3)
    async with voice_of(hold, synthesize, timeouts=timeouts) as it:
        started = time.monotonic()
        events = await it.say("Hello there.")
        assert letters_in(pcm_of(events)) == "Hellothere"
        assert time.monotonic() - started < 2.5
        assert [error.recoverable for error in it.errors] == [True]
        assert isinstance(it.errors[0].error, aigateway.StalledError)
        assert it.faults == {"stalled": 1}


async def test_F17_a_slow_voice_gets_more_time_when_it_is_asked_again() -> None:
    async def slowly(conn: Connection) -> None:
        await asyncio.sleep(0.5)
        await synthesize(conn)

    timeouts = aigateway.TTSTimeouts(first_audio_s=0.3)
    async with voice_of(slowly, timeouts=timeouts) as it:
        events = await it.say("Hello there.", conn_options=RETRY_3)
        assert letters_in(pcm_of(events)) == "Hellothere"
        assert it.faults == {"stalled": 1}


async def stall_after(conn: Connection, *, ms: float) -> None:
    await synthesize(conn, stop_after_ms=ms)
    await hold(conn)


async def reset_after(conn: Connection, *, ms: float) -> None:
    await synthesize(conn, stop_after_ms=ms)
    conn.reset()


async def close_after(conn: Connection, *, ms: float) -> None:
    await synthesize(conn, stop_after_ms=ms)
    await conn.ws.close()


def assert_nothing_twice(heard: str, text: str, *, lost_at_most: int) -> None:
    """``heard`` is ``text`` with at most a few letters left out in one place."""
    whole = letters_of(text)
    assert len(whole) - lost_at_most <= len(heard) <= len(whole)
    same = 0
    while same < len(heard) and heard[same] == whole[same]:
        same += 1
    assert whole.endswith(heard[same:])


FAULT_OF: dict[Any, str] = {
    stall_after: "stalled",
    reset_after: "connection_lost",
    close_after: "closed",
}
CUTS = [(fault, ms) for fault in (stall_after, reset_after, close_after) for ms in (700, 2100)]


@pytest.mark.parametrize(("fault", "ms"), [*CUTS, (reset_after, 3500)])
async def test_F18_F19_a_reply_cut_short_goes_on_and_says_nothing_twice(
    fault: Any, ms: float
) -> None:
    timeouts = aigateway.TTSTimeouts(inter_chunk_s=0.3)
    async with voice_of(partial(fault, ms=ms), synthesize, timeouts=timeouts) as it:
        events = await it.say(LONG)
        assert_well_formed(events)
        assert_nothing_twice(letters_in(pcm_of(events)), LONG, lost_at_most=10)
        assert it.engine.stats.resumes == 1
        assert [error.recoverable for error in it.errors] == [True]
        assert len(it.metrics) == 1
        assert it.faults == {FAULT_OF[fault]: 1}


@pytest.mark.parametrize("fault", [stall_after, close_after])
async def test_F18_F19_a_voice_that_is_known_is_missed_when_its_last_words_are(fault: Any) -> None:
    timeouts = aigateway.TTSTimeouts(inter_chunk_s=0.3)
    good: list[Handler] = [partial(synthesize, speed=20.0, marker={"type": "flushed"})] * 3
    scripts: list[Handler] = [*good, partial(fault, ms=3500), synthesize]
    async with voice_of(*scripts, timeouts=timeouts, end_of_input="empty") as it:
        for _ in good:
            await it.say("This is how fast it speaks.")
        events = await it.say(LONG)
        assert_nothing_twice(letters_in(pcm_of(events)), LONG, lost_at_most=10)
        assert it.engine.stats.resumes == 1
        assert it.faults == {FAULT_OF[fault]: 1}


async def test_F19_too_many_cuts_end_the_reply_for_good() -> None:
    async with voice_of(partial(reset_after, ms=400), limits=aigateway.Limits(resumes=2)) as it:
        with pytest.raises(APIError) as failure:
            await it.say(LONG)
        assert not failure.value.retryable
        assert [error.recoverable for error in it.errors] == [True, True, False]
        assert it.engine.stats.resumes == 2
        assert it.faults == {"connection_lost": 3}


async def test_F20_barge_in_closes_the_socket_and_costs_no_handshake() -> None:
    async with voice_of(partial(synthesize, speed=1.0)) as it:
        it.engine.prewarm()
        await it.spare()
        for _ in range(3):
            stream = it.engine.stream(conn_options=RETRY_3)
            stream.push_text(LONG)
            heard = [await anext(stream) for _ in range(3)]
            assert heard[0].frame.duration > 0
            started = time.monotonic()
            await stream.aclose()
            assert time.monotonic() - started < 0.05
            await it.spare()
            async with asyncio.timeout(0.5):
                while it.server.open > 1:  # only the spare is left
                    await asyncio.sleep(0.01)
        events = await it.say("After that.")
        assert letters_in(pcm_of(events)) == "Afterthat"
        assert it.engine.stats.cold_starts == 0
        assert it.faults == {}


async def test_text_frames_that_are_garbage_are_counted_and_five_end_the_socket() -> None:
    async def script(conn: Connection) -> None:
        await conn.ws.receive()
        for _ in range(5):
            await conn.ws.send_str("{")
        await hold(conn)

    async with voice_of(script, synthesize) as it:
        events = await it.say("Hello there.")
        assert letters_in(pcm_of(events)) == "Hellothere"
        assert it.engine.stats.bad_frames == 5
        assert it.faults == {"bad_frame": 5, "protocol": 1}


async def test_an_error_envelope_has_its_verdict() -> None:
    async def script(conn: Connection) -> None:
        await conn.ws.receive()
        await conn.send({"error": {"code": "invalid_api_key", "message": KEY}})
        await hold(conn)

    async with voice_of(script) as it:
        with pytest.raises(APIStatusError) as failure:
            await it.say("Hello.")
        assert failure.value.status_code == 401
        assert KEY not in repr(failure.value)
        assert it.faults == {"rejected": 1}


async def test_a_server_that_sends_no_audio_is_an_error_without_the_text_in_it() -> None:
    async def script(conn: Connection) -> None:
        async for _ in conn.ws:
            await conn.send({"type": "flushed"})

    async with voice_of(script) as it:
        with pytest.raises(aigateway.NoAudioError) as failure:
            await it.say("Secret words.", conn_options=APIConnectOptions(max_retry=0, timeout=1.0))
        assert "Secret" not in repr(failure.value)
        assert it.faults == {"no_audio": 1}


async def test_slow_text_is_not_taken_for_a_stall() -> None:
    timeouts = aigateway.TTSTimeouts(inter_chunk_s=0.2, first_audio_s=0.5)
    async with voice_of(timeouts=timeouts) as it:
        async with it.engine.stream(conn_options=RETRY_3) as stream:

            async def write() -> None:
                stream.push_text("One moment please.")
                await asyncio.sleep(2.5)
                stream.push_text(" Here it is.")
                stream.end_input()

            writing = asyncio.create_task(write())
            events = [event async for event in stream]
            await writing
        assert letters_in(pcm_of(events)) == letters_of("One moment please. Here it is.")
        assert it.errors == []
        assert it.faults == {}
