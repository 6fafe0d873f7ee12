"""Text to speech over a real socket."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import numpy as np
import pytest

from gateway.config import SimConfig
from gateway.engines.sim.tts import speak_in_tones
from tests.wire.gateway_harness import DEADLINE_S, eventually, serving

PATH = "/audio/speech/stream?model=sim/tts&voice=rachel"
FAST = SimConfig(tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=1_000)
CHAR_BYTES = 60 * 24 * 2  # 60 ms a character


async def _read_audio(ws: aiohttp.ClientWebSocketResponse, size: int) -> bytes:
    audio = bytearray()
    async with asyncio.timeout(DEADLINE_S):
        while len(audio) < size:
            message = await ws.receive()
            assert message.type is aiohttp.WSMsgType.BINARY, message
            audio += message.data
    assert len(audio) == size
    return bytes(audio)


def _text(text: str) -> str:
    return json.dumps({"text": text})


async def test_texts_are_spoken_in_order_and_nothing_else_is_sent() -> None:
    async with serving(sim=FAST) as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_str(_text("Hello there."))
        await ws.send_str(_text("Bye."))
        assert await _read_audio(ws, 12 * CHAR_BYTES) == speak_in_tones("Hello there.", char_ms=60)
        assert await _read_audio(ws, 4 * CHAR_BYTES) == speak_in_tones("Bye.", char_ms=60)
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.1)


@pytest.mark.parametrize("empty", ["", " \n"])
async def test_empty_text_is_passed_over(empty: str) -> None:
    async with serving(sim=FAST) as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_str(_text(empty))
        await ws.send_str(_text("Hi"))
        await _read_audio(ws, 2 * CHAR_BYTES)


async def test_extended_marks_the_end_of_each_text_and_closes_when_told() -> None:
    async with serving(sim=FAST, extended=True) as (gateway, http):
        async with http.ws_connect(gateway.url + PATH) as ws:
            for text in ("Hi", "Ho", ""):
                await ws.send_str(_text(text))
            for _ in range(2):
                await _read_audio(ws, 2 * CHAR_BYTES)
                assert json.loads((await ws.receive()).data) == {"type": "done"}
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        await eventually(lambda: gateway.stats.snapshot()["tts"]["completed"] == 1)


async def test_times_of_the_sim_voice() -> None:
    sim = SimConfig(tts_connect_ms=80, tts_first_audio_ms=120, tts_realtime_factor=4)
    async with serving(sim=sim) as (gateway, http):
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with http.ws_connect(gateway.url + PATH) as ws:
            assert 0.08 <= loop.time() - start < 0.2
            start = loop.time()
            await ws.send_str(_text("x" * 20))  # 1.2 s of audio
            times = []
            for _ in range(12):
                assert len((await ws.receive()).data) == 4_800
                times.append(loop.time() - start)
    assert 0.12 <= times[0] < 0.2
    assert times[-1] - times[0] == pytest.approx(1.1 / 4, abs=0.06)


async def test_closing_the_socket_stops_the_voice_and_is_counted() -> None:
    sim = SimConfig(tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=1)
    async with serving(sim=sim) as (gateway, http):
        ws = await http.ws_connect(gateway.url + PATH)
        await ws.send_str(_text("A long text that takes several seconds to speak."))
        await ws.receive()
        await ws.close()
        await eventually(lambda: gateway.stats.snapshot()["tts"]["open"] == 0)
        assert gateway.stats.snapshot()["tts"]["closed_by_client"] == 1


async def test_a_lost_connection_stops_the_voice_too() -> None:
    sim = SimConfig(tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=1)
    async with serving(sim=sim) as (gateway, http):
        ws = await http.ws_connect(gateway.url + PATH)
        await ws.send_str(_text("A long text that takes several seconds to speak."))
        await ws.receive()
        transport = ws.get_extra_info("socket")
        assert transport is not None
        ws._response.connection.transport.abort()  # type: ignore[union-attr]  # no FIN, no close
        await eventually(lambda: gateway.stats.snapshot()["tts"]["open"] == 0)
        assert gateway.stats.snapshot()["tts"]["closed_by_client"] == 1
        await ws.close()


async def test_closing_when_all_was_spoken_is_no_cancel() -> None:
    async with serving(sim=FAST) as (gateway, http):
        async with http.ws_connect(gateway.url + PATH) as ws:
            await ws.send_str(_text("Hi"))
            await _read_audio(ws, 2 * CHAR_BYTES)
        await eventually(lambda: gateway.stats.snapshot()["tts"]["open"] == 0)
        assert gateway.stats.snapshot()["tts"]["completed"] == 1


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(
    "wrong", ["hello", "{}", '{"text": 3}', '{"text": NaN}', '{"text": ' + "[" * 5_000, b"\x00\x01"]
)
async def test_wrong_messages_close_the_socket(wrong: str | bytes, extended: bool) -> None:
    async with serving(sim=FAST, extended=extended) as (gateway, http):
        async with http.ws_connect(gateway.url + PATH) as ws:
            await (ws.send_str(wrong) if isinstance(wrong, str) else ws.send_bytes(wrong))
            if extended:
                error = json.loads((await ws.receive(timeout=5)).data)
                assert (error["type"], error["code"]) == ("error", "invalid_message")
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        await eventually(lambda: gateway.stats.snapshot()["tts"]["errors"] == 1)


async def test_a_long_frame_closes_with_1009() -> None:
    async with serving(sim=FAST) as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_str(_text("x" * 70_000))
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
        await eventually(lambda: gateway.stats.snapshot()["tts"]["errors"] == 1)


def test_tones_can_be_heard_and_are_the_same_each_time() -> None:
    audio = speak_in_tones("Hello there", char_ms=60)
    assert audio == speak_in_tones("Hello there", char_ms=60)
    samples = np.frombuffer(audio, "<i2").astype(float)
    char = 60 * 24
    loudness = [
        np.sqrt(np.mean(samples[i * char : (i + 1) * char] ** 2)) for i in range(len("Hello there"))
    ]
    assert loudness[5] == 0
    assert min(loudness[:5] + loudness[6:]) > 1_000
