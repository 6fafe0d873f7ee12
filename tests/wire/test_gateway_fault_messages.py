"""Faults of messages, audio and answers, seen from the other end of a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import numpy as np
import pytest

from gateway.config import SimConfig
from tests.wire.gateway_harness import eventually, hear, serving, silence, tone

from .fault_harness import (
    CHAR_BYTES,
    ORDER,
    STT,
    TTS,
    UTTERANCE,
    a_fault,
    answer_body,
    audio_of,
    chat,
    faulty,
    messages_of,
    speak,
)

# -- messages -------------------------------------------------------------------------------------

WRONG = [
    ("garbage", {}),
    ("wrong_types", {}),
    ("non_finite", {"value": "NaN"}),
    ("non_finite", {"value": "Infinity"}),
    ("non_finite", {"value": "1e999"}),
    ("deep_nesting", {}),
    ("error_message", {"status": 429}),
]


def _check_wrong(do: str, text: str, fields: dict[str, Any]) -> None:
    if do == "garbage":
        with pytest.raises(ValueError, match=r"Expecting|Invalid"):
            json.loads(text)
    elif do == "deep_nesting":
        assert text.count("[") == 100_000
        with pytest.raises(RecursionError):
            json.loads(text)
    elif do == "non_finite":
        assert fields["value"] in text
        assert json.loads(text)  # which is the trap
    elif do == "error_message":
        error = json.loads(text)
        assert error.get("code", error.get("error", {}).get("code")) == 429
    else:
        assert json.loads(text)


@pytest.mark.parametrize(("do", "fields"), WRONG)
async def test_wrong_text_on_a_speech_socket(do: str, fields: dict[str, Any]) -> None:
    faults = [
        a_fault("stt", do, at={"message": 2}, times=2, **fields)
        if do != "error_message"
        else a_fault("stt", do, at={"message": 2}, **fields),
        a_fault("tts", do, **fields),
    ]
    async with faulty(*faults) as (gateway, http):
        async with http.ws_connect(gateway.url + STT) as ws:
            await ws.send_bytes(tone(0.9) + silence(0.4))
            await ws.send_str('{"type":"CloseStream"}')
            texts = [m.data for m in await messages_of(ws, 2) if m.type is aiohttp.WSMsgType.TEXT]
        wrong = texts[1:3] if do != "error_message" else texts[1:2]
        for text in wrong:
            _check_wrong(do, text, fields)
        rest = [json.loads(text) for text in texts[:1] + texts[1 + len(wrong) :]]
        assert rest[-1] == {"is_final": True, "transcript": ORDER}
        async with http.ws_connect(gateway.url + TTS) as ws:
            message = await ws.receive(timeout=5)
            _check_wrong(do, message.data, fields)
            await speak(ws, "Hi")
            assert len(audio_of(await messages_of(ws))) == 2 * CHAR_BYTES


@pytest.mark.parametrize(("do", "fields"), WRONG)
async def test_wrong_events_in_an_answer(do: str, fields: dict[str, Any]) -> None:
    async with faulty(a_fault("llm", do, at={"message": 3}, **fields)) as (gateway, http):
        body = (await answer_body(http, gateway)).decode()
    events = [block.removeprefix("data: ") for block in body.split("\n\n") if block]
    _check_wrong(do, events[2], fields)
    assert events[-1] == "[DONE]"


async def test_oversize() -> None:
    faults = [a_fault(stage, "oversize", bytes=3_000_000) for stage in ("stt", "tts", "llm")]
    async with faulty(*faults) as (gateway, http):
        for path in (STT, TTS):
            async with http.ws_connect(gateway.url + path, max_msg_size=4_000_000) as ws:
                assert len((await ws.receive(timeout=5)).data) >= 3_000_000
        assert len(await answer_body(http, gateway)) > 3_000_000


async def test_wrong_kind_of_frame() -> None:
    async with faulty(a_fault("stt", "wrong_kind"), a_fault("tts", "wrong_kind")) as (
        gateway,
        http,
    ):
        async with http.ws_connect(gateway.url + STT) as ws:
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY
        async with http.ws_connect(gateway.url + TTS) as ws:
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT


async def test_zero_length_frames() -> None:
    fault = a_fault("tts", "zero_length", times=3, at={"message": 2})
    async with faulty(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await speak(ws, "Hello")
        sizes = [len(m.data) for m in await messages_of(ws)]
        assert sizes[1:4] == [0, 0, 0]
        assert sum(sizes) == 5 * CHAR_BYTES


async def test_odd_bytes_lose_nothing() -> None:
    async with faulty(a_fault("tts", "odd_bytes")) as (gateway, http):
        async with http.ws_connect(gateway.url + TTS) as ws:
            await speak(ws, "Hello")
            frames = [m.data for m in await messages_of(ws)]
        assert any(len(frame) % 2 for frame in frames)
        gateway.faults.clear()
        async with http.ws_connect(gateway.url + TTS) as ws:
            await speak(ws, "Hello")
            assert audio_of(await messages_of(ws)) == b"".join(frames)


def _pitch(audio: bytes) -> float:
    """Dominant frequency if played at 24 kHz."""
    samples = np.frombuffer(audio, "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 24_000 / len(samples))


async def test_wrong_rate() -> None:
    fault = a_fault("tts", "wrong_rate", rate_hz=16_000)
    async with faulty(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await speak(ws, "x" * 20)
        audio = audio_of(await messages_of(ws))
    assert len(audio) == pytest.approx(20 * CHAR_BYTES * 2 / 3, rel=0.05)
    assert _pitch(audio) == pytest.approx(220 * 1.5, rel=0.03)


# -- finals ---------------------------------------------------------------------------------------


async def test_late_final() -> None:
    async with faulty(a_fault("stt", "late_final", ms=500)) as (gateway, http):
        heard = await hear(http, gateway.url + STT, tone(0.5) + silence(1.0))
    final_at = next(at for at, m in heard.messages if m["is_final"])
    assert final_at == pytest.approx(0.5 + 0.14 + 0.5, abs=0.1)


async def test_duplicate_final() -> None:
    fault = a_fault("stt", "duplicate_final", at={"message": 2})
    async with faulty(fault) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE * 3)
    assert heard.finals == [ORDER] * 4


async def test_missing_final() -> None:
    fault = a_fault("stt", "missing_final", at={"message": 1})
    async with faulty(fault) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE * 2)
    assert heard.finals == [ORDER]
    assert heard.at(-1) > 1.2


# -- speech after a cancel, answers cut short -----------------------------------------------------


async def test_audio_after_cancel() -> None:
    slow = SimConfig(tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=2)
    async with serving(sim=slow) as (gateway, http):
        gateway.faults.set([a_fault("tts", "audio_after_cancel", ms=500, at={"message": 1})])
        async with http.ws_connect(gateway.url + TTS, autoclose=False) as ws:
            await speak(ws, "A text that takes a good while to speak.")
            await ws.receive(timeout=5)
            closing = asyncio.create_task(ws._writer.close(1000))  # a close frame, and read on
            await closing
            messages = await messages_of(ws, 2)
        late = [m for m in messages if m.type is aiohttp.WSMsgType.BINARY]
        assert len(late) >= 5
        await eventually(lambda: gateway.stats.snapshot()["tts"]["closed_by_client"] == 1)


async def test_truncated_answer_ends_properly_in_the_middle_of_an_event() -> None:
    async with faulty(a_fault("llm", "truncate", at={"message": 4})) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
            body = await answer.read()  # no payload error: HTTP thinks that this is all
        await eventually(lambda: gateway.stats.snapshot()["llm"]["errors"] == 1)
    *whole, half = body.split(b"\n\n")
    assert len(whole) == 3
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(half.removeprefix(b"data: "))


async def test_half_a_tool_call() -> None:
    tools = [{"type": "function", "function": {"name": "lookup_order", "parameters": {}}}]
    async with faulty(a_fault("llm", "half_tool_call")) as (gateway, http):
        body = await answer_body(
            http, gateway, text="My email is anna at example dot com", tools=tools
        )
    assert b"lookup_order" in body
    assert b"[DONE]" not in body
    arguments = "".join(
        call["function"]["arguments"]
        for block in body.decode().split("\n\n")
        if block
        for call in json.loads(block[6:])["choices"][0]["delta"].get("tool_calls", [])
    )
    assert arguments.startswith('{"email"')
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(arguments)
