"""What faults do to speech to text, and what they do not."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    utils,
)
from livekit.plugins import aigateway

from .aigateway_ears import T, ear, reset_after, server, speak_quietly
from .aigateway_harness import (
    KEY,
    STT_RATE,
    WORDS,
    Connection,
    frames,
    hold,
    say,
    silence,
    slow_wire,
    speak,
    transcribe,
)


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
    assert heard.faults == {"connection_lost": 1}


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
    assert heard.faults == {"connection_lost": 1}


async def test_F02_drop_between_interim_and_final_gives_one_final() -> None:
    scripts = (partial(reset_after, ms=3 * 280 + 100), transcribe)
    async with server(*scripts) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:3]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:3])]
    heard.assert_in_order()
    assert heard.faults == {"connection_lost": 1}


async def test_F03_three_drops_in_one_utterance_lose_nothing() -> None:
    drops = [partial(reset_after, ms=ms) for ms in (600, 1100, 1700)]
    async with server(*drops, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS)]
    heard.assert_in_order()
    assert len(heard.errors) == 3
    assert it.engine.stats.reconnects == 3
    assert heard.faults == {"connection_lost": 3}


async def test_F03_the_fourth_drop_is_final() -> None:
    async with server(partial(reset_after, ms=500)) as srv, ear(srv.url) as it:
        await speak_quietly(it, say(WORDS))
        heard = await it.finish()
    assert isinstance(heard.raised, APIConnectionError)
    assert not heard.raised.retryable
    assert [error.recoverable for error in heard.errors] == [True, True, True, False]
    assert len(srv.connections["stt"]) == 4
    assert heard.faults == {"connection_lost": 4}


async def test_F03_a_gateway_that_stays_away_is_given_up_at_the_deadline() -> None:
    async def go_away(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        srv.refuse_with = 503
        conn.reset()

    patient = APIConnectOptions(max_retry=1000, retry_interval=0.1, timeout=1.0)
    timeouts = aigateway.STTTimeouts(reconnect_s=1.0)
    async with (
        server(go_away) as srv,
        ear(srv.url, conn_options=patient, timeouts=timeouts) as it,
    ):
        await speak_quietly(it, say(WORDS[:2], pause_ms=200))
        async with asyncio.timeout(8.0):
            while it.heard.raised is None:
                await asyncio.sleep(0.02)
        heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert not heard.raised.retryable
    assert "gave up after 1 s" in str(heard.raised)


async def test_F04_outage_longer_than_the_ring_drops_the_oldest_and_says_so() -> None:
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
    refused = len(srv.requests) - len(srv.connections["stt"])
    assert heard.faults == {"connection_lost": 1, "server_error": refused, "speech_lost": 1}
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
    assert heard.faults == {"stalled": 1}
    assert time.monotonic() - started < 5.0


async def test_F05_one_word_into_a_half_open_socket_is_heard_without_being_said_again() -> None:
    async with server(hold, transcribe) as srv, ear(srv.url) as it:
        talking = asyncio.create_task(speak(it.stream, say(WORDS[:1], pause_ms=20_000)))
        async with asyncio.timeout(8.0):  # a watchdog and a heartbeat would take longer
            while not it.heard.finals:
                await asyncio.sleep(0.02)
        await utils.aio.cancel_and_wait(talking)
        heard = await it.finish()
    assert heard.finals == WORDS[:1]
    assert len(srv.connections["stt"]) == 2
    assert heard.faults == {"stalled": 1}


async def test_F05_who_answers_pings_is_not_left_for_having_nothing_to_say() -> None:
    async def deaf(conn: Connection) -> None:
        async for _ in conn.ws:
            pass

    timeouts = aigateway.STTTimeouts(pong_s=0.3)
    async with server(deaf) as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, say(WORDS[:2], pause_ms=1500))
        assert len(srv.connections["stt"]) == 1
        assert it.engine.faults.counts == {}
        await it.stream.aclose()


async def test_F05_half_open_socket_in_a_quiet_room_is_noticed_by_the_heartbeat() -> None:
    timeouts = aigateway.STTTimeouts(heartbeat_s=0.4)
    async with server(hold, transcribe) as srv, ear(srv.url, timeouts=timeouts) as it:
        async with asyncio.timeout(8.0):
            while len(srv.connections["stt"]) < 2:
                await speak(it.stream, silence(100))
        await speak(it.stream, say(WORDS[:2]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:2])]
    assert heard.faults == {"connection_lost": 1}


async def test_F05_watchdog_leaves_a_quiet_room_alone() -> None:
    timeouts = aigateway.STTTimeouts(silence_watchdog_s=0.5)
    async with server() as srv, ear(srv.url, timeouts=timeouts) as it:
        await speak(it.stream, silence(2000))
        heard = await it.finish()
    assert heard.errors == []
    assert heard.faults == {}
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
    assert heard.faults == {"stalled": 1}


async def test_F06_accept_then_close_is_a_failure_without_a_hot_loop() -> None:
    async def slam(conn: Connection) -> None:
        await conn.ws.close(code=1011)

    async with server(slam) as srv, ear(srv.url) as it:
        heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert not heard.raised.retryable
    assert len(srv.connections["stt"]) == 4
    assert len(heard.errors) == 4
    assert heard.faults == {"closed": 4}


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
    assert heard.faults == {}


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
    assert heard.faults == {}


async def test_F15_a_burst_waits_instead_of_falling_out_of_the_ring() -> None:
    replay = aigateway.ReplayOptions(ring_s=2.0, speed=40.0)
    async with server() as srv, ear(srv.url, replay=replay) as it:
        for _ in range(4):
            for frame in frames(say(WORDS), milliseconds=1000):
                it.stream.push_frame(frame)
        heard = await it.finish()
    assert heard.words == WORDS * 4
    assert it.engine.stats.dropped_s == 0
    assert heard.faults == {}


async def test_F15_empty_frames_and_other_rates_are_taken_and_stereo_is_refused() -> None:
    async with server() as srv, ear(srv.url) as it:
        it.stream.push_frame(rtc.AudioFrame(b"", 16000, 1, 0))
        await speak(it.stream, say(WORDS[:1]), speed=4)
        with pytest.raises(ValueError, match="mono"):
            it.stream.push_frame(rtc.AudioFrame(b"\0" * 1280, 16000, 2, 320))
        heard = await it.finish()
    assert heard.words == WORDS[:1]
    assert heard.faults == {}
    with pytest.raises(ValueError, match="sample_rate"):
        aigateway.STT(api_key=KEY, sample_rate=4000)


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
    assert heard.faults == {"connection_lost": 1}
    last = heard.of(T.FINAL_TRANSCRIPT)[-1].alternatives[0]
    assert last.end_time == pytest.approx(len(say(WORDS[:6])) / 32000 + 0.52, abs=0.15)


async def test_closing_a_stream_in_the_middle_leaves_nothing_behind() -> None:
    async with server() as srv, ear(srv.url) as it:
        talk = asyncio.create_task(speak_quietly(it, say(WORDS)))
        await asyncio.sleep(0.6)
        await it.stream.aclose()
        await talk
        await it.finish()
    assert srv.open == 0
