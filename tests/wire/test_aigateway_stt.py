"""Speech to text against a scripted server: what it says, and what faults do to it."""

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
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    stt,
    vad,
)
from livekit.agents.metrics import STTMetrics
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit.faults import FaultKind

from .aigateway_harness import (
    KEY,
    STT_RATE,
    WORDS,
    Connection,
    Handler,
    ScriptedServer,
    black_hole,
    frames,
    hold,
    no_leaks,
    say,
    silence,
    slow_wire,
    speak,
    transcribe,
)

T = stt.SpeechEventType
RETRY_3 = APIConnectOptions(max_retry=3, retry_interval=0.2, timeout=2.0)


@dataclass
class Heard:
    """The events of one stream, and of the STT it belongs to."""

    events: list[stt.SpeechEvent] = field(default_factory=list)
    errors: list[stt.STTError] = field(default_factory=list)
    metrics: list[STTMetrics] = field(default_factory=list)
    raised: BaseException | None = None

    def of(self, kind: T) -> list[stt.SpeechEvent]:
        return [event for event in self.events if event.type is kind]

    @property
    def finals(self) -> list[str]:
        return [event.alternatives[0].text for event in self.of(T.FINAL_TRANSCRIPT)]

    @property
    def words(self) -> list[str]:
        return " ".join(self.finals).split()

    def assert_in_order(self) -> None:
        """START, then transcripts, then FINAL, then END; texts, languages and times all there."""
        speaking = False
        last_preflight = ""
        latest = 0.0
        for event in self.events:
            if event.type is T.START_OF_SPEECH:
                assert not speaking
                speaking = True
            elif event.type is T.END_OF_SPEECH:
                assert speaking
                speaking = False
            elif event.type is not T.RECOGNITION_USAGE:
                assert speaking
                data = event.alternatives[0]
                assert data.text
                assert data.language == "en"
                assert event.request_id
                assert 0.0 <= data.start_time <= data.end_time
                if event.type is T.FINAL_TRANSCRIPT:
                    assert data.start_time >= latest
                    latest = data.end_time
                if event.type is T.PREFLIGHT_TRANSCRIPT:
                    assert data.text != last_preflight
                    last_preflight = data.text
                elif event.type is T.FINAL_TRANSCRIPT or data.text != last_preflight:
                    last_preflight = ""  # other words in between: the framework dropped its reply
        assert not speaking


class Ear:
    """An STT, one of its streams, and everything that comes out of both."""

    def __init__(self, engine: aigateway.STT, stream: aigateway.SpeechStream) -> None:
        self.engine = engine
        self.stream = stream
        self.heard = Heard()
        engine.on("error", self.heard.errors.append)
        engine.on("metrics_collected", self.heard.metrics.append)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.stream:
                self.heard.events.append(event)
        except APIError as exc:
            self.heard.raised = exc

    async def finish(self, timeout_s: float = 15.0) -> Heard:
        with contextlib.suppress(RuntimeError):  # a stream that has failed takes no more input
            self.stream.end_input()
        await asyncio.wait_for(self._reader, timeout_s)
        return self.heard


@contextlib.asynccontextmanager
async def ear(
    url: str, *, conn_options: APIConnectOptions = RETRY_3, **options: Any
) -> AsyncIterator[Ear]:
    async with no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.STT(base_url=url, api_key=KEY, http_session=http, **options)
        stream = engine.stream(conn_options=conn_options)
        try:
            yield Ear(engine, stream)
        finally:
            await stream.aclose()
            await engine.aclose()


@contextlib.asynccontextmanager
async def server(*scripts: Handler) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    scripted.stt = list(scripts) or [transcribe]
    async with scripted.run():
        yield scripted


async def reset_after(conn: Connection, *, ms: float) -> None:
    await transcribe(conn, until_ms=ms)
    conn.reset()


# -- the happy path ------------------------------------------------------------------------------


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


# -- LiveKit's provider conventions --------------------------------------------------------------


async def test_black_hole_times_out_in_time_with_one_error_an_attempt() -> None:
    options = APIConnectOptions(max_retry=0, timeout=0.5)
    async with black_hole() as url, ear(url, conn_options=options) as it:
        started = time.monotonic()
        heard = await it.finish()
        assert 0.4 <= time.monotonic() - started <= 1.0
        assert isinstance(heard.raised, APITimeoutError)
        assert [error.recoverable for error in heard.errors] == [False]

    options = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0.0)
    async with black_hole() as url, ear(url, conn_options=options) as it:
        heard = await it.finish()
    assert [error.recoverable for error in heard.errors] == [True, True, True, False]
    assert all(isinstance(error.error, APITimeoutError) for error in heard.errors[:3])


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_final_statuses_are_not_retried(status: int) -> None:
    async with server() as srv:
        srv.refuse_with = status
        async with ear(srv.url) as it:
            heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert heard.raised.status_code == status
    assert len(heard.errors) == 1
    assert len(srv.requests) == 1


# -- faults --------------------------------------------------------------------------------------


async def test_F01_reset_mid_utterance_loses_and_doubles_nothing() -> None:
    async with server(partial(reset_after, ms=1000), transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:8]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:8])]
    heard.assert_in_order()
    assert len(srv.connections["stt"]) == 2
    assert [error.recoverable for error in heard.errors] == [True]
    assert it.engine.stats.reconnects == 1
    assert it.engine.stats.dropped_s == 0


async def test_F01_second_utterance_survives_and_the_first_is_not_heard_again() -> None:
    first = len(say(WORDS[:3])) / 2 / STT_RATE * 1000
    scripts = (partial(reset_after, ms=first + 500), transcribe)
    async with server(*scripts) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:3]) + say(WORDS[3:8]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:3]), " ".join(WORDS[3:8])]
    heard.assert_in_order()
    assert heard.of(T.FINAL_TRANSCRIPT)[1].alternatives[0].start_time == pytest.approx(
        1.44, abs=0.1
    )


async def test_F02_drop_between_interim_and_final_gives_one_final() -> None:
    scripts = (partial(reset_after, ms=3 * 280 + 100), transcribe)
    async with server(*scripts) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:3]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:3])]
    heard.assert_in_order()


async def test_F03_three_drops_in_one_utterance_lose_nothing() -> None:
    drops = [partial(reset_after, ms=ms) for ms in (600, 1100, 1700)]
    async with server(*drops, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS)]
    heard.assert_in_order()
    assert len(heard.errors) == 3
    assert it.engine.stats.reconnects == 3


async def test_F03_the_fourth_drop_is_final() -> None:
    async with server(partial(reset_after, ms=500)) as srv, ear(srv.url) as it:
        await speak_quietly(it, say(WORDS))
        heard = await it.finish()
    assert isinstance(heard.raised, APIConnectionError)
    assert not heard.raised.retryable
    assert [error.recoverable for error in heard.errors] == [True, True, True, False]
    assert len(srv.connections["stt"]) == 4


async def speak_quietly(it: Ear, pcm: bytes) -> None:
    """Speak to a stream that may end meanwhile."""
    with contextlib.suppress(RuntimeError):
        await speak(it.stream, pcm)


async def test_F04_outage_longer_than_the_ring_drops_the_oldest_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: dict[str, Any] = {
        "replay": aigateway.ReplayOptions(ring_s=1.5),
        "timeouts": aigateway.STTTimeouts(reconnect_s=10.0),
    }
    lost: list[float] = []

    async def go_down(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        srv.refuse_with = 503
        conn.reset()

    async with server(go_down, transcribe) as srv, ear(srv.url, **options) as it:
        it.engine.on("speech_lost", lost.append)
        talk = asyncio.create_task(speak(it.stream, say(WORDS)))
        await asyncio.sleep(2.0)
        srv.refuse_with = None
        await talk
        heard = await it.finish()
    assert heard.words == WORDS[-len(heard.words) :]  # what is there is whole and in order
    assert 2 <= len(heard.words) < len(WORDS)
    assert it.engine.stats.dropped_s > 0.3
    assert lost == [it.engine.stats.dropped_s]
    assert it.engine.faults.counts[FaultKind.SPEECH_LOST] == 1
    assert [vars(r)["fault"] for r in caplog.records].count("speech_lost") == 1
    heard.assert_in_order()


async def test_F05_half_open_socket_is_noticed_while_speech_flows() -> None:
    timeouts = aigateway.STTTimeouts(silence_watchdog_s=1.0)
    async with server(hold, transcribe) as srv, ear(srv.url, timeouts=timeouts) as it:
        started = time.monotonic()
        await speak(it.stream, say(WORDS[:8]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:8])]
    reconnected = srv.connections["stt"][1]
    assert reconnected.audio_bytes > 0
    assert isinstance(heard.errors[0].error, aigateway.StalledError)
    assert time.monotonic() - started < 5.0


async def test_F05_watchdog_leaves_a_quiet_room_alone() -> None:
    timeouts = aigateway.STTTimeouts(silence_watchdog_s=0.5)
    async with server() as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, silence(2000))
        heard = await it.finish()
    assert heard.errors == []
    assert len(srv.connections["stt"]) == 1


async def test_F05_a_final_that_never_comes_is_fetched_over_another_connection() -> None:
    async def interims_only(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        async for _ in conn.ws:
            pass

    timeouts = aigateway.STTTimeouts(final_s=0.8)
    async with server(interims_only, transcribe) as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, say(WORDS[:2], pause_ms=2500))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:2])]
    heard.assert_in_order()


async def test_F06_accept_then_close_is_a_failure_without_a_hot_loop() -> None:
    async def slam(conn: Connection) -> None:
        await conn.ws.close(code=1011)

    async with server(slam) as srv, ear(srv.url) as it:
        heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert not heard.raised.retryable
    assert len(srv.connections["stt"]) == 4
    assert len(heard.errors) == 4


async def test_F07_muted_caller_keeps_the_socket() -> None:
    timeouts = aigateway.STTTimeouts(keepalive_s=0.2, silence_watchdog_s=0.5)
    async with server() as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, say(WORDS[:2]))
        await asyncio.sleep(1.5)
        await speak(it.stream, say(WORDS[2:4]))
        heard = await it.finish()
    assert heard.words == WORDS[:4]
    assert len(srv.connections["stt"]) == 1
    assert srv.connections["stt"][0].texts.count('{"type":"KeepAlive"}') >= 5
    assert heard.errors == []


async def test_F08_late_and_sliced_answers_change_nothing_but_the_time() -> None:
    async with (
        server() as srv,
        slow_wire(srv.url, delay_s=0.2, jitter_s=0.1) as url,
        ear(url) as it,
    ):
        await speak(it.stream, say(WORDS[:4]) + say(WORDS[4:6]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:4]), " ".join(WORDS[4:6])]
    assert heard.errors == []


GARBAGE = [
    "not json",
    '{"is_final": true}',
    '{"is_final": "yes", "transcript": "x"}',
    '{"is_final": true, "transcript": 7}',
    '{"is_final": true, "transcript": "x", "confidence": NaN}',
    '{"is_final": true, "transcript": "x", "confidence": 1e999}',
    "[" * 60_000,
    b"\x00\x01",
]


@pytest.mark.parametrize("frame", GARBAGE, ids=lambda frame: str(frame)[:40])
async def test_F09_F10_F11_F13_one_bad_frame_is_dropped_and_counted(frame: str | bytes) -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        if isinstance(frame, bytes):
            await conn.ws.send_bytes(frame)
        else:
            await conn.ws.send_str(frame)
        await conn.send({"type": "SomethingNew", "value": 1})
        await transcribe(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak(it.stream, silence(400) + say(WORDS[:2]), speed=2)
        heard = await it.finish()
    assert heard.words == WORDS[:2]
    assert it.engine.stats.bad_frames == 1
    assert heard.errors == []


async def test_F09_five_bad_frames_in_a_row_reconnect() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        for _ in range(5):
            await conn.ws.send_str("{")
        await hold(conn)

    async with server(script, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:6]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]
    assert it.engine.stats.bad_frames == 5
    assert [type(error.error) for error in heard.errors] == [aigateway.ProtocolError]


async def test_F12_oversized_frame_reconnects() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        await conn.ws.send_str("x" * (4 * 1024 * 1024))
        await hold(conn)

    async with server(script, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:6]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]
    assert len(heard.errors) == 1


async def test_F15_a_burst_waits_instead_of_falling_out_of_the_ring() -> None:
    replay = aigateway.ReplayOptions(ring_s=2.0, speed=40.0)
    async with server() as srv, ear(srv.url, replay=replay) as it:
        for _ in range(4):
            for frame in frames(say(WORDS), milliseconds=1000):
                it.stream.push_frame(frame)
        heard = await it.finish()
    assert heard.words == WORDS * 4
    assert it.engine.stats.dropped_s == 0


async def test_F15_empty_frames_and_other_rates_are_taken_and_stereo_is_refused() -> None:
    async with server() as srv, ear(srv.url) as it:
        it.stream.push_frame(rtc.AudioFrame(b"", 16000, 1, 0))
        await speak(it.stream, say(WORDS[:1]), speed=4)
        with pytest.raises(ValueError, match="mono"):
            it.stream.push_frame(rtc.AudioFrame(b"\0" * 1280, 16000, 2, 320))
        heard = await it.finish()
    assert heard.words == WORDS[:1]
    with pytest.raises(ValueError, match="sample_rate"):
        aigateway.STT(api_key=KEY, sample_rate=4000)


async def test_late_and_repeated_finals_are_passed_on_once() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        for _ in range(3):
            await conn.send({"is_final": True, "transcript": "alpha bravo"})
        await transcribe(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:2], pause_ms=1000))
        heard = await it.finish()
    assert heard.finals[:1] == ["alpha bravo"]
    assert it.engine.stats.duplicate_finals >= 2
    heard.assert_in_order()


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_F30_wall_clock_jumps_change_no_time(
    jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time
    async with server(partial(reset_after, ms=900), transcribe) as srv, ear(srv.url) as it:
        talk = asyncio.create_task(speak(it.stream, say(WORDS[:6]) + say(WORDS[6:8])))
        await asyncio.sleep(0.6)
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        await talk
        heard = await it.finish()
        monkeypatch.undo()
    assert heard.words == WORDS[:8]
    heard.assert_in_order()
    last = heard.of(T.FINAL_TRANSCRIPT)[-1].alternatives[0]
    assert last.end_time == pytest.approx(len(say(WORDS[:6])) / 32000 + 0.52, abs=0.15)


async def test_error_envelope_on_a_live_socket_has_its_verdict() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        await conn.send({"type": "error", "message": f"no {KEY}", "code": "insufficient_quota"})
        await hold(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak_quietly(it, say(WORDS[:4]))
        heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert heard.raised.status_code == 402
    assert len(heard.errors) == 1
    assert KEY not in repr(heard.raised)


async def test_closing_a_stream_in_the_middle_leaves_nothing_behind() -> None:
    async with server() as srv, ear(srv.url) as it:
        talk = asyncio.create_task(speak_quietly(it, say(WORDS)))
        await asyncio.sleep(0.6)
        await it.stream.aclose()
        await talk
        await it.finish()
    assert srv.open == 0


class LoudnessStream(vad.VADStream):
    """Speech is what is not silent; reported as late as real detectors do."""

    async def _main_task(self) -> None:
        speaking = False
        run = 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            loud = any(frame.data)
            run = run + frame.duration if loud != speaking else 0.0
            if run >= (0.1 if loud else 0.3):
                speaking, run = loud, 0.0
                kind = vad.VADEventType.START_OF_SPEECH if loud else vad.VADEventType.END_OF_SPEECH
                self._event_ch.send_nowait(
                    vad.VADEvent(
                        type=kind,
                        samples_index=0,
                        timestamp=0.0,
                        speech_duration=0.0,
                        silence_duration=0.0,
                    )
                )


class Loudness(vad.VAD):
    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))

    def stream(self) -> vad.VADStream:
        return LoudnessStream(self)


async def test_vad_gate_leaves_out_silence_and_no_onset() -> None:
    timeouts = aigateway.STTTimeouts(keepalive_s=0.3)
    pcm = silence(2000) + say(WORDS[:3], pause_ms=4000) + say(WORDS[3:5], pause_ms=1500)
    async with server() as srv, ear(srv.url, vad=Loudness(), timeouts=timeouts) as it:
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
    async with server(*scripts) as srv, ear(srv.url, vad=Loudness()) as it:
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
