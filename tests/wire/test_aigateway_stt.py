"""Speech to text against a scripted server: what is sent, what is said, and when."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import aiohttp
import pytest
from livekit.agents import (
    APIStatusError,
    stt,
)
from livekit.plugins import aigateway

from tests.sound_vad import SoundVad

from .aigateway_ears import RETRY_3, Ear, T, ear, reset_after, server
from .aigateway_harness import (
    KEY,
    STT_RATE,
    WORDS,
    Connection,
    frames,
    no_leaks,
    say,
    silence,
    speak,
    transcribe,
)


async def test_two_utterances_arrive_in_order() -> None:
    async with server() as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:3]) + say(WORDS[3:5]))
        heard = await it.finish()
    assert heard.finals == ["alpha bravo charlie", "delta echo"]
    heard.assert_in_order()
    assert len(heard.of(T.START_OF_SPEECH)) == 2
    assert heard.errors == []


async def test_times_are_those_of_the_audio() -> None:
    async with server() as srv, ear(srv.url) as it:
        await speak(it.stream, silence(1000) + say(WORDS[:2]))
        before = time.time()
        heard = await it.finish()
    data = heard.of(T.FINAL_TRANSCRIPT)[0].alternatives[0]
    assert data.start_time == pytest.approx(1.0, abs=0.06)
    assert data.end_time == pytest.approx(1.52, abs=0.06)
    end = heard.of(T.END_OF_SPEECH)[0].speech_end_time
    assert end is not None
    assert before - 1.2 < end < before


async def test_preflight_comes_before_the_final_and_only_in_silence() -> None:
    async with server() as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:4]))
        heard = await it.finish()
    assert [e.alternatives[0].text for e in heard.of(T.PREFLIGHT_TRANSCRIPT)] == [heard.finals[0]]
    assert heard.events.index(heard.of(T.PREFLIGHT_TRANSCRIPT)[0]) < heard.events.index(
        heard.of(T.FINAL_TRANSCRIPT)[0]
    )


async def test_preflight_can_be_turned_off() -> None:
    async with server() as srv, ear(srv.url, preflight=None) as it:
        await speak(it.stream, say(WORDS[:2]), speed=4)
        heard = await it.finish()
    assert heard.of(T.PREFLIGHT_TRANSCRIPT) == []
    assert heard.words == WORDS[:2]


async def test_usage_adds_up_to_the_audio_sent() -> None:
    async with server() as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:6]), speed=4)
        heard = await it.finish()
    pcm_s = len(say(WORDS[:6])) / 2 / STT_RATE
    used = sum(metric.audio_duration for metric in heard.metrics)
    assert used == pytest.approx(pcm_s, abs=0.05)
    assert sum(metric.acquire_time > 0 for metric in heard.metrics) == 1


async def test_prewarm_gives_the_first_stream_its_socket() -> None:
    async with server() as srv, no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.STT(base_url=srv.url, api_key=KEY, http_session=http)
        engine.prewarm()
        while not engine.stats.connections:
            await asyncio.sleep(0.01)
        stream = engine.stream()
        it = Ear(engine, stream)
        await speak(stream, say(WORDS[:2]), speed=4)
        heard = await it.finish()
        await stream.aclose()
        await engine.aclose()
    assert heard.words == WORDS[:2]
    assert [m.connection_reused for m in heard.metrics if m.acquire_time] == [True]
    assert len(srv.connections["stt"]) == 1


async def test_minimal_dialect_sends_only_audio() -> None:
    async with server() as srv, ear(srv.url, dialect="minimal") as it:
        await speak(it.stream, say(WORDS[:2], pause_ms=0), speed=4)
        heard = await it.finish()
    assert heard.words == WORDS[:2]
    conn = srv.connections["stt"][0]
    assert conn.texts == []
    assert dict(conn.request.query) == {"model": "deepgram/nova-3"}


async def test_deepgram_dialect_sends_its_options() -> None:
    options: dict[str, Any] = {
        "keyterms": ("Parley", "A B"),
        "endpointing_ms": 300,
        "language": "en",
    }
    async with server() as srv, ear(srv.url, **options) as it:
        await it.finish()
    query = srv.connections["stt"][0].request.query
    assert query.getall("keyterm") == ["Parley", "A B"]
    assert (query["endpointing"], query["language"]) == ("300", "en")
    assert srv.connections["stt"][0].texts == ['{"type":"CloseStream"}']
    assert srv.connections["stt"][0].request.headers["x-aig-tag"] == "voice.stt"


async def test_options_change_at_a_pause_without_losing_a_word() -> None:
    async with server() as srv, ear(srv.url) as it:
        talk = asyncio.create_task(speak(it.stream, say(WORDS[:4]) + say(WORDS[4:8])))
        await asyncio.sleep(0.5)
        it.engine.update_options(keyterms=["later"])
        assert len(srv.connections["stt"]) == 1  # the caller is in the middle of an utterance
        await talk
        heard = await it.finish()
    assert heard.words == WORDS[:8]
    assert [c.request.query.get("keyterm") for c in srv.connections["stt"]] == [None, "later"]
    assert heard.errors == []


def results(
    text: str, *, start: float, duration: float, speech_final: bool, final: bool = True
) -> dict[str, object]:
    words = [
        {
            "word": w,
            "punctuated_word": w.title(),
            "start": start + 0.1 * i,
            "end": start + 0.1 * i + 0.1,
        }
        for i, w in enumerate(text.split())
    ]
    return {
        "type": "Results",
        "is_final": final,
        "speech_final": speech_final,
        "start": start,
        "duration": duration,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]},
        "metadata": {"request_id": "dg-1"},
    }


async def test_deepgram_results_end_speech_only_at_speech_final() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=600)
        await conn.send(results("one two", start=0.1, duration=0.3, speech_final=False))
        await conn.send(results("three", start=0.4, duration=0.2, speech_final=True))
        await transcribe(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak(it.stream, silence(1500), speed=3)
        heard = await it.finish()
    assert heard.finals == ["one two", "three"]
    heard.assert_in_order()
    assert len(heard.of(T.END_OF_SPEECH)) == 1
    first = heard.of(T.FINAL_TRANSCRIPT)[0]
    assert first.request_id == "dg-1"
    assert first.alternatives[0].words is not None
    assert [str(w) for w in first.alternatives[0].words] == ["One", "Two"]
    assert first.alternatives[0].start_time == pytest.approx(0.1)
    assert first.alternatives[0].end_time == pytest.approx(0.3)


async def test_speech_ends_soon_after_a_final_that_nothing_follows() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        await conn.send(results("one", start=0.1, duration=0.1, speech_final=False))
        await transcribe(conn)

    timeouts = aigateway.STTTimeouts(end_of_speech_s=0.3)
    async with server(script) as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, silence(1500))
        assert len(it.heard.of(T.END_OF_SPEECH)) == 1
        await it.finish()


async def test_batch_recognises_and_rejects_a_bad_key_at_once() -> None:
    async with server() as srv, no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.STT(base_url=srv.url, api_key=KEY, http_session=http)
        errors: list[stt.STTError] = []
        engine.on("error", errors.append)

        async def ok(_: aiohttp.web.Request) -> aiohttp.web.Response:
            return aiohttp.web.json_response({"text": "hello there"})

        async def refuse(_: aiohttp.web.Request) -> aiohttp.web.Response:
            return aiohttp.web.Response(status=401, text=KEY)

        srv.http = [ok]
        event = await engine.recognize(frames(say(WORDS[:1])))
        assert event.alternatives[0].text == "hello there"
        assert event.alternatives[0].language == "en"
        srv.http = [refuse]
        with pytest.raises(APIStatusError) as failure:
            await engine.recognize(frames(say(WORDS[:1])), conn_options=RETRY_3)
        assert failure.value.status_code == 401
        assert KEY not in repr(failure.value)
        assert [error.recoverable for error in errors] == [False]
        await engine.aclose()


async def test_vad_gate_leaves_out_silence_and_no_onset() -> None:
    timeouts = aigateway.STTTimeouts(keepalive_s=0.3)
    pcm = silence(2000) + say(WORDS[:3], pause_ms=4000) + say(WORDS[3:5], pause_ms=1500)
    async with server() as srv, ear(srv.url, vad=SoundVad(), timeouts=timeouts) as it:
        await speak(it.stream, pcm, speed=2)
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:3]), " ".join(WORDS[3:5])]
    heard.assert_in_order()
    conn = srv.connections["stt"][0]
    assert conn.audio_bytes < 0.6 * len(pcm)
    assert '{"type":"KeepAlive"}' in conn.texts
    second = heard.of(T.FINAL_TRANSCRIPT)[1].alternatives[0]
    assert second.start_time == pytest.approx(2.0 + 0.84 + 4.0, abs=0.1)
    used = sum(metric.audio_duration for metric in heard.metrics)
    assert used == pytest.approx(conn.audio_bytes / 2 / STT_RATE, abs=0.05)


async def test_vad_gate_survives_a_reset_in_the_middle_of_speech() -> None:
    pcm = silence(1500) + say(WORDS[:6], pause_ms=1500)
    scripts = (partial(reset_after, ms=1200), transcribe)
    async with server(*scripts) as srv, ear(srv.url, vad=SoundVad()) as it:
        await speak(it.stream, pcm)
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]
    assert len(srv.connections["stt"]) == 2


async def test_a_fallback_takes_over_when_the_gateway_is_gone() -> None:
    async with server() as dead, server() as alive, no_leaks(), aiohttp.ClientSession() as http:
        dead.refuse_with = 401
        first = aigateway.STT(base_url=dead.url, api_key=KEY, http_session=http)
        second = aigateway.STT(base_url=alive.url, api_key=KEY, http_session=http)
        chain = stt.FallbackAdapter([first, second], attempt_timeout=1.0, retry_interval=0.1)
        stream = chain.stream()
        pcm = silence(500) + say(WORDS[:3])
        for frame in frames(pcm):
            stream.push_frame(frame)
            await asyncio.sleep(frame.duration)
        stream.end_input()
        heard = [e.alternatives[0].text async for e in stream if e.type is T.FINAL_TRANSCRIPT]
        await stream.aclose()
        await chain.aclose()
        await first.aclose()
        await second.aclose()
    assert heard == [" ".join(WORDS[:3])]
