"""Text to speech against a scripted server whose audio says which letters a caller would hear."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, APITimeoutError, tts
from livekit.agents.metrics import TTSMetrics
from livekit.plugins import aigateway

from .aigateway_harness import (
    KEY,
    Connection,
    Handler,
    ScriptedServer,
    black_hole,
    hold,
    letters_in,
    letters_of,
    no_leaks,
    pcm_of,
    synthesize,
    voice,
)

RETRY_3 = APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=2.0)
LONG = "The order has been shipped today. It will arrive on Monday morning. Anything else?"


@dataclass
class Voice:
    """A TTS and everything that it reports."""

    engine: aigateway.TTS
    server: ScriptedServer
    errors: list[tts.TTSError] = field(default_factory=list)
    metrics: list[TTSMetrics] = field(default_factory=list)

    async def say(
        self, *texts: str, conn_options: APIConnectOptions = RETRY_3
    ) -> list[tts.SynthesizedAudio]:
        """Push the texts, and hear the reply to its end."""
        async with self.engine.stream(conn_options=conn_options) as stream:
            for text in texts:
                stream.push_text(text)
            stream.end_input()
            return [event async for event in stream]

    @property
    def connections(self) -> list[Connection]:
        return self.server.connections["tts"]

    async def spare(self) -> None:
        """Wait until the pool's spare is connected."""
        async with asyncio.timeout(2.0):
            while self.engine._pool._spare is None:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def voice_of(*scripts: Handler, **options: Any) -> AsyncIterator[Voice]:
    scripted = ScriptedServer()
    scripted.tts = list(scripts) or [synthesize]
    async with scripted.run(), no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.TTS(base_url=scripted.url, api_key=KEY, http_session=http, **options)
        it = Voice(engine, scripted)
        engine.on("error", it.errors.append)
        engine.on("metrics_collected", it.metrics.append)
        try:
            yield it
        finally:
            await engine.aclose()


def assert_well_formed(events: list[tts.SynthesizedAudio]) -> None:
    """One request id, frames of at most 200 ms, only the last one final."""
    assert len({event.request_id for event in events}) == 1
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert all(0 < event.frame.duration <= 0.2 for event in events)


# -- the happy path ------------------------------------------------------------------------------


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


# -- LiveKit's provider conventions --------------------------------------------------------------


@pytest.mark.parametrize("one_shot", [True, False])
async def test_black_hole_times_out_in_time_with_one_error_an_attempt(one_shot: bool) -> None:
    async with black_hole() as url, no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.TTS(base_url=url, api_key=KEY, http_session=http)
        errors: list[tts.TTSError] = []
        metrics: list[TTSMetrics] = []
        engine.on("error", errors.append)
        engine.on("metrics_collected", metrics.append)
        options = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0.0)
        started = time.monotonic()
        if one_shot:
            chunked = engine.synthesize("Hello.", conn_options=options)
            with pytest.raises(APITimeoutError):
                await chunked.collect()
            await chunked.aclose()
        else:
            with pytest.raises(APITimeoutError):
                await Voice(engine, ScriptedServer()).say("Hello.", conn_options=options)
        assert 1.0 <= time.monotonic() - started <= 2.5
        assert [error.recoverable for error in errors] == [True, True, True, False]
        assert metrics == []
        await engine.aclose()


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_final_statuses_are_not_retried(status: int) -> None:
    async with voice_of() as it:
        it.server.refuse_with = status
        with pytest.raises(APIStatusError) as failure:
            await it.say("Hello.")
        assert failure.value.status_code == status
        assert len(it.errors) == 1
        assert len(it.server.requests) <= 2  # the reply's own, and one for the spare


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


async def test_F06_spares_that_close_at_once_are_no_hot_loop() -> None:
    async def slam(conn: Connection) -> None:
        await conn.ws.close(code=1011)

    async with voice_of(slam) as it:
        it.engine.prewarm()
        await asyncio.sleep(1.0)
        assert 2 <= len(it.connections) <= 20


# -- faults --------------------------------------------------------------------------------------


async def test_F14_odd_bytes_are_carried() -> None:
    async with voice_of(partial(synthesize, chunk_bytes=1001, speed=30.0)) as it:
        events = await it.say("Every byte counts here.")
        assert letters_in(pcm_of(events)) == letters_of("Every byte counts here.")


async def test_F17_no_first_audio_is_retried_within_the_deadline() -> None:
    timeouts = aigateway.TTSTimeouts(first_audio_s=0.3)
    async with voice_of(hold, synthesize, timeouts=timeouts) as it:
        started = time.monotonic()
        events = await it.say("Hello there.")
        assert letters_in(pcm_of(events)) == "Hellothere"
        assert time.monotonic() - started < 2.5
        assert [error.recoverable for error in it.errors] == [True]
        assert isinstance(it.errors[0].error, aigateway.StalledError)


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


async def test_F19_too_many_cuts_end_the_reply_for_good() -> None:
    async with voice_of(partial(reset_after, ms=400), limits=aigateway.Limits(resumes=2)) as it:
        with pytest.raises(APIError) as failure:
            await it.say(LONG)
        assert not failure.value.retryable
        assert [error.recoverable for error in it.errors] == [True, True, False]
        assert it.engine.stats.resumes == 2


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


async def test_a_server_that_sends_no_audio_is_an_error_without_the_text_in_it() -> None:
    async def script(conn: Connection) -> None:
        async for _ in conn.ws:
            await conn.send({"type": "flushed"})

    async with voice_of(script) as it:
        with pytest.raises(aigateway.NoAudioError) as failure:
            await it.say("Secret words.", conn_options=APIConnectOptions(max_retry=0, timeout=1.0))
        assert "Secret" not in repr(failure.value)


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
