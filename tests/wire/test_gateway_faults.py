"""Faults of the connection, seen from the other end of a real socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest

from gateway.server import Gateway
from tests.wire.gateway_harness import eventually, hear, serving, tone

from .fault_harness import (
    CHAR_BYTES,
    FAST,
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

# -- before the answer ----------------------------------------------------------------------------


async def test_refuse() -> None:
    faults = [a_fault(stage, "refuse") for stage in ("stt", "tts", "llm")]
    async with faulty(*faults) as (gateway, http):
        for path in (STT, TTS):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await http.ws_connect(gateway.url + path)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(gateway.url + "/chat/completions", json=chat())
        assert gateway.faults.fired("refuse") == 5  # aiohttp tries each GET a second time
        assert gateway.stats.snapshot()["llm"]["opened"] == 0


@pytest.mark.parametrize("retry_after", ["1", "60", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5"])
async def test_http_status_with_retry_after_word_for_word(retry_after: str) -> None:
    fault = a_fault("llm", "http_status", status=429, retry_after=retry_after)
    async with (
        faulty(fault) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=chat()) as answer,
    ):
        assert answer.status == 429
        assert answer.headers["Retry-After"] == retry_after
        assert "error" in await answer.json()


async def test_http_status_at_a_handshake() -> None:
    async with faulty(a_fault("stt", "http_status")) as (gateway, http):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(gateway.url + STT)
        assert caught.value.status == 503


async def test_redirect() -> None:
    fault = a_fault("llm", "redirect", location="http://127.0.0.1:9/elsewhere")
    async with (
        faulty(fault) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=chat(), allow_redirects=False) as answer,
    ):
        assert answer.status == 307
        assert answer.headers["Location"] == "http://127.0.0.1:9/elsewhere"


# -- the connection -------------------------------------------------------------------------------


async def _until_reset(reader: asyncio.StreamReader) -> bytes:
    """What arrived before the RST; a FIN instead fails the test."""
    data = bytearray()
    with pytest.raises(ConnectionResetError):  # noqa: PT012 - the data before it matters
        while True:
            part = await asyncio.wait_for(reader.read(65_536), 5)
            assert part, "the connection was closed, not reset"
            data += part
    return bytes(data)


async def _handshake(
    gateway: Gateway, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = gateway.url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /v1{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    return reader, writer


def _frame(opcode: int, data: bytes) -> bytes:
    """A masked client frame (the mask is zero)."""
    length = struct.pack("!BH", 0xFE, len(data)) if len(data) > 125 else bytes([0x80 | len(data)])
    return bytes([0x80 | opcode]) + length + bytes(4) + data


def _text_frame(text: str) -> bytes:
    return _frame(1, json.dumps({"text": text}).encode())


async def test_reset_before_the_answer() -> None:
    async with faulty(a_fault("tts", "reset")) as (gateway, _):
        reader, writer = await _handshake(gateway, TTS)
        assert await _until_reset(reader) == b""
        writer.close()


async def test_reset_at_a_byte_of_audio() -> None:
    async with faulty(a_fault("tts", "reset", at={"byte": 7_001})) as (gateway, _):
        reader, writer = await _handshake(gateway, TTS)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_text_frame("a long text that is cut"))
        data = await _until_reset(reader)
        writer.close()
    # frames of 100 ms: one of 4800 bytes, and 2201 bytes of the next, each with a 4-byte header
    assert len(data) == 4 + 4_800 + 4 + 2_201


async def test_reset_at_a_byte_of_received_audio() -> None:
    fault = a_fault("stt", "reset", at={"byte": 16_000}, connection=1)
    async with faulty(fault) as (gateway, http):
        async with http.ws_connect(gateway.url + STT) as ws:
            await ws.send_bytes(tone(0.4))
            await asyncio.sleep(0.05)
            assert not ws.closed
            await ws.send_bytes(tone(0.2))
            last = (await messages_of(ws))[-1]
            assert last.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert ws.close_code == 1006
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)
        assert (await hear(http, gateway.url + STT, UTTERANCE)).finals == [ORDER]


async def test_reset_of_an_answer_at_a_word() -> None:
    async with faulty(a_fault("llm", "reset", at={"word": 5})) as (gateway, http):
        with pytest.raises(aiohttp.ClientError):
            async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
                await answer.read()
        await eventually(lambda: gateway.stats.snapshot()["llm"]["errors"] == 1)


async def test_close_with_a_code_at_a_message() -> None:
    async with faulty(a_fault("stt", "close", code=4001, at={"message": 2})) as (gateway, http):
        heard = await hear(http, gateway.url + STT, tone(1), then=None)
        assert len(heard.messages) == 1
        assert heard.close_code == 4001
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)


async def test_accept_then_close() -> None:
    faults = [a_fault(stage, "close", connection=[1, 2]) for stage in ("stt", "tts")]
    async with faulty(*faults) as (gateway, http):
        for path in (STT, TTS):
            for _ in range(2):
                async with http.ws_connect(gateway.url + path) as ws:
                    message = await ws.receive(timeout=5)
                    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
            async with http.ws_connect(gateway.url + path) as ws:
                assert await messages_of(ws, 0.1) == []


async def test_close_of_an_answer_leaves_it_without_its_end() -> None:
    async with faulty(a_fault("llm", "close", at={"message": 4})) as (gateway, http):
        body = await answer_body(http, gateway)
    assert body.count(b"data: ") == 3
    assert b"[DONE]" not in body


async def test_close_after_a_time() -> None:
    async with faulty(a_fault("stt", "close", code=1012, at={"ms": 200})) as (gateway, http):
        loop = asyncio.get_running_loop()
        async with http.ws_connect(gateway.url + STT) as ws:
            start = loop.time()
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
            assert 0.15 < loop.time() - start < 1


async def test_half_open_before_the_answer_is_a_black_hole() -> None:
    async with faulty(a_fault("stt", "half_open")) as (gateway, _):
        reader, writer = await _handshake(gateway, STT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()


async def test_half_open_neither_reads_nor_writes_nor_closes() -> None:
    async with faulty(a_fault("tts", "half_open", at={"message": 3})) as (gateway, _):
        reader, writer = await _handshake(gateway, TTS)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_text_frame("a long text that is cut"))
        assert len(await reader.readexactly(2 * 4_804)) == 2 * 4_804
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.write(bytes(16_000_000))  # more than all buffers in between hold
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        gateway.faults.clear()  # only this, or the end of the gateway, ends it
        with suppress(ConnectionError):  # what was not read makes it a reset
            assert await asyncio.wait_for(reader.read(1), 5) == b""
        writer.close()


async def test_stall() -> None:
    fault = a_fault("tts", "stall", ms=400, at={"message": 3})
    async with faulty(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        loop = asyncio.get_running_loop()
        await speak(ws, "x" * 10)
        times = []
        for _ in range(6):
            await ws.receive(timeout=5)
            times.append(loop.time())
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps[1] == pytest.approx(0.4, abs=0.1)
        assert max(gaps[:1] + gaps[2:]) < 0.2


async def test_delay_and_jitter_keep_the_order() -> None:
    fault = a_fault("tts", "delay", ms=150, jitter_ms=100, at={"message": 1})
    async with faulty(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await speak(ws, "Hello there, what a day it is.")
        audio = bytearray()
        first_s = 0.0
        while len(audio) < 30 * CHAR_BYTES:
            audio += (await ws.receive(timeout=5)).data
            first_s = first_s or loop.time() - start
        assert 0.05 <= first_s < 0.45
    async with serving(sim=FAST) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await speak(ws, "Hello there, what a day it is.")
        assert audio_of(await messages_of(ws)) == bytes(audio)


async def test_delay_before_the_answer_delays_the_handshake() -> None:
    async with faulty(a_fault("stt", "delay", ms=300)) as (gateway, http):
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with http.ws_connect(gateway.url + STT):
            assert loop.time() - start >= 0.3


async def test_slice_writes_single_bytes() -> None:
    async with faulty(a_fault("stt", "slice")) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE)
        assert heard.finals == [ORDER]
    async with faulty(a_fault("llm", "slice", bytes=1)) as (gateway, _):
        reads = await _reads_of_an_answer(gateway)
    assert max(reads) <= 8  # the reader needs a few turns of the loop to be woken
    assert len(reads) > 100


async def _reads_of_an_answer(gateway: Gateway) -> list[int]:
    """Sizes of the reads in which an answer arrives."""
    host, port = gateway.url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(chat()).encode()
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    reads = []
    while data := await asyncio.wait_for(reader.read(65_536), 5):
        reads.append(len(data))
    writer.close()
    return reads


async def _read_for(seconds: float, read: Callable[[], Awaitable[bytes]]) -> bytes:
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                received += await read()
    except TimeoutError:
        return bytes(received)


async def test_drip_of_headers() -> None:
    async with faulty(a_fault("llm", "drip", bytes_per_s=20)) as (gateway, http):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await http.post(gateway.url + "/chat/completions", json=chat())
    async with faulty(a_fault("stt", "drip", bytes_per_s=20)) as (gateway, _):
        reader, writer = await _handshake(gateway, STT)
        received = await _read_for(0.5, lambda: reader.readexactly(1))
        writer.close()
        assert 5 <= len(received) <= 12
        assert b"HTTP/1.1 101".startswith(received[:5])


async def test_drip_of_the_body() -> None:
    fault = a_fault("llm", "drip", bytes_per_s=1, at={"message": 3})
    async with faulty(fault) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
            body = await _read_for(0.8, answer.content.readany)
        assert 2 <= body.count(b"data: ") <= 3
