"""Transcription: whole recordings, answered in lines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, inference, stt
from livekit.plugins import gateflow

from tests.faults_met import FaultsMet
from tests.wer import wer

from .gateflow_harness import REAL, Rig, rig
from .gateway_harness import TWO_CITIES, two_cities
from .vendors import WORDS, finals, frames, spoken, transcribe

ONCE = APIConnectOptions(max_retry=0, timeout=3.0)
TWICE = APIConnectOptions(max_retry=1, retry_interval=0.05, timeout=3.0)


async def hear(it: Rig, options: APIConnectOptions = TWICE, **settings: Any) -> str:
    ears = gateflow.STT(**it.access, **settings)
    event = await ears.recognize(frames(spoken()), conn_options=options)
    return event.alternatives[0].text


async def test_a_recording_is_transcribed() -> None:
    async with rig() as it:
        assert await hear(it) == WORDS


@pytest.mark.alone
async def test_with_a_detector_it_streams_and_the_partials_are_interims() -> None:
    async with rig(**REAL) as it:
        ears = gateflow.STT(**it.access, vad=inference.VAD(model="silero"))
        said: list[stt.SpeechEvent] = []
        async with asyncio.timeout(60), ears.stream() as stream:
            for frame in frames(two_cities() + bytes(2 * 16_000)):
                stream.push_frame(frame)
            stream.end_input()
            said.extend([event async for event in stream])
        assert wer(TWO_CITIES, finals(said)) <= 0.15
        kinds = [event.type for event in said]
        for kind in (stt.SpeechEventType.START_OF_SPEECH, stt.SpeechEventType.END_OF_SPEECH):
            assert kind in kinds
        assert stt.SpeechEventType.INTERIM_TRANSCRIPT in kinds
        assert ears.faults.counts == {}


@pytest.mark.parametrize("do", ["garbage", "wrong_types", "non_finite", "deep_nesting"])
async def test_F09_F10_F11_a_line_without_sense_is_left_out(do: str) -> None:
    async with rig() as it:
        it.fault("stt", do, at={"message": 1})
        assert await hear(it, ONCE) == WORDS


@pytest.mark.parametrize(
    ("do", "fields", "kind"),
    [
        ("reset", {"at": {"message": 2}}, "not_connected"),
        ("close", {"at": {"message": 2}}, "not_connected"),
        ("stall", {"ms": 5000, "at": {"message": 2}}, "stalled"),
        ("half_open", {"at": {"message": 1}}, "timed_out"),
        ("drip", {"bytes_per_s": 1, "at": {"message": 1}}, "timed_out"),
        ("garbage", {"times": 5, "at": {"message": 1}}, "protocol"),
        ("oversize", {"at": {"message": 2}}, "protocol"),
        ("error_message", {"at": {"message": 1}}, "server_error"),
        ("http_status", {"status": 503}, "server_error"),
        ("refuse", {}, "not_connected"),
    ],
)
async def test_F01_F05_F12_F27_what_breaks_off_is_asked_again(
    do: str, fields: dict[str, Any], kind: str
) -> None:
    timeouts = gateflow.STTTimeouts(first_line_s=0.5, between_lines_s=0.3, total_s=1.0)
    async with rig() as it:
        it.fault("stt", do, connection=1, **fields)
        ears = gateflow.STT(**it.access, timeouts=timeouts)
        with FaultsMet(ears.faults) as met:
            event = await ears.recognize(frames(spoken()), conn_options=TWICE)
            assert event.alternatives[0].text == WORDS
            assert sum(met.counts.values()) >= 1
            assert kind in met.counts or (kind == "timed_out" and "stalled" in met.counts)


async def test_F05_a_gateway_that_is_only_slow_gets_more_time_when_it_is_asked_again() -> None:
    timeouts = gateflow.STTTimeouts(first_line_s=1.0)
    async with rig() as it:
        it.fault("stt", "delay", ms=1500)
        ears = gateflow.STT(**it.access, timeouts=timeouts)
        with FaultsMet(ears.faults) as met:
            event = await ears.recognize(frames(spoken()), conn_options=TWICE)
            assert event.alternatives[0].text == WORDS
            assert met.counts == {"timed_out": 1}


@pytest.mark.parametrize("size", [1, 7])
async def test_F08_lines_in_pieces_and_several_in_one_are_put_together(size: int) -> None:
    async with rig() as it:
        it.fault("stt", "slice", bytes=size)
        assert await hear(it, ONCE) == WORDS


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_F23_refusals_are_final(status: int) -> None:
    async with rig() as it:
        it.fault("stt", "http_status", status=status)
        with pytest.raises(APIStatusError) as failure:
            await hear(it)
        assert failure.value.status_code == status
        assert it.gateway.faults.fired("http_status") == 1


async def test_S17_a_redirect_is_not_followed() -> None:
    async with rig() as it:
        it.fault("stt", "redirect", location="http://127.0.0.1:9/elsewhere")
        with pytest.raises(APIStatusError, match="307"):
            await hear(it)
        assert it.gateway.faults.fired("redirect") == 1


@pytest.mark.alone
async def test_a_stretch_that_fails_is_asked_again_from_the_stream() -> None:
    async with rig(**REAL) as it:
        it.fault("stt", "reset", at={"message": 1}, connection=1)
        ears = gateflow.STT(**it.access, vad=inference.VAD(model="silero"))
        events = await transcribe(
            ears.stream(conn_options=ONCE), two_cities()[:100_000] + bytes(32_000), speed=20.0
        )
        assert "best of times" in finals(events).lower()
        assert sum(ears.faults.counts.values()) == 1


async def test_F04_an_outage_longer_than_the_turn_is_final() -> None:
    timeouts = gateflow.STTTimeouts(segment_s=0.5)
    async with rig() as it:
        it.fault("stt", "refuse")
        ears = gateflow.STT(**it.access, timeouts=timeouts, vad=inference.VAD(model="silero"))
        with pytest.raises(APIError) as failure:
            await transcribe(ears.stream(), two_cities()[:70_000] + bytes(32_000), speed=20.0)
        assert not failure.value.retryable
