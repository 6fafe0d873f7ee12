"""Each fault of the vocabulary, seen from the other end of a real socket."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from gateway.config import BrainConfig, SimConfig
from gateway.errors import ProtocolError
from gateway.faults.vocabulary import Do
from gateway.server import Gateway
from tests.wire.gateway_harness import eventually, hear, serving, silence, tone

STT = "/audio/transcriptions/stream?model=sim/stt"
TTS = "/audio/speech/stream?model=sim/tts"
ORDER = "what is the status of my order"
FAST = SimConfig(
    tts_connect_ms=0,
    tts_first_audio_ms=0,
    tts_realtime_factor=1_000,
    llm_first_token_ms=0,
    llm_tokens_per_s=10_000,
)
BRAIN = BrainConfig(first_token_ms=0, words_per_s=10_000)
CHAR_BYTES = 60 * 24 * 2
UTTERANCE = tone(0.5) + silence(0.4)


def _fault(stage: str, do: str, **fields: Any) -> Any:
    return {"stage": stage, "do": do} | fields


@asynccontextmanager
async def _serving(
    *faults: Any, seed: int = 1
) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """A gateway with a fault script in force."""
    async with serving(sim=FAST, brain=BRAIN) as (gateway, http):
        gateway.faults.set(faults, seed=seed)
        yield gateway, http


def _chat(text: str = "Tell me a joke", **fields: Any) -> dict[str, Any]:
    return {
        "model": "local/brain",
        "stream": True,
        "messages": [{"role": "user", "content": text}],
    } | fields


async def _body(http: aiohttp.ClientSession, gateway: Gateway, **fields: Any) -> bytes:
    """What came of the answer's body until it ended or broke off."""
    body = bytearray()
    try:
        async with http.post(gateway.url + "/chat/completions", json=_chat(**fields)) as answer:
            async for data in answer.content.iter_any():
                body += data
    except aiohttp.ClientPayloadError:
        pass
    return bytes(body)


async def _speak(ws: aiohttp.ClientWebSocketResponse, text: str) -> None:
    await ws.send_str(json.dumps({"text": text}))


async def _messages(ws: aiohttp.ClientWebSocketResponse, quiet_s: float = 0.3) -> list[Any]:
    """Messages until nothing more comes or the socket ends."""
    messages = []
    try:
        while True:
            message = await ws.receive(timeout=quiet_s)
            messages.append(message)
            if message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            ):
                return messages
    except TimeoutError:
        return messages


def _audio(messages: list[Any]) -> bytes:
    return b"".join(m.data for m in messages if m.type is aiohttp.WSMsgType.BINARY)


# -- before the answer ----------------------------------------------------------------------------


async def test_refuse() -> None:
    faults = [_fault(stage, "refuse") for stage in ("stt", "tts", "llm")]
    async with _serving(*faults) as (gateway, http):
        for path in (STT, TTS):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await http.ws_connect(gateway.url + path)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(gateway.url + "/chat/completions", json=_chat())
        assert gateway.faults.fired("refuse") == 5  # aiohttp tries each GET a second time
        assert gateway.stats.snapshot()["llm"]["opened"] == 0


@pytest.mark.parametrize("retry_after", ["1", "60", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5"])
async def test_http_status_with_retry_after_word_for_word(retry_after: str) -> None:
    fault = _fault("llm", "http_status", status=429, retry_after=retry_after)
    async with (
        _serving(fault) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=_chat()) as answer,
    ):
        assert answer.status == 429
        assert answer.headers["Retry-After"] == retry_after
        assert "error" in await answer.json()


async def test_http_status_at_a_handshake() -> None:
    async with _serving(_fault("stt", "http_status")) as (gateway, http):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(gateway.url + STT)
        assert caught.value.status == 503


async def test_redirect() -> None:
    fault = _fault("llm", "redirect", location="http://127.0.0.1:9/elsewhere")
    async with (
        _serving(fault) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=_chat(), allow_redirects=False) as answer,
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
    async with _serving(_fault("tts", "reset")) as (gateway, _):
        reader, writer = await _handshake(gateway, TTS)
        assert await _until_reset(reader) == b""
        writer.close()


async def test_reset_at_a_byte_of_audio() -> None:
    async with _serving(_fault("tts", "reset", at={"byte": 7_001})) as (gateway, _):
        reader, writer = await _handshake(gateway, TTS)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_text_frame("a long text that is cut"))
        data = await _until_reset(reader)
        writer.close()
    # frames of 100 ms: one of 4800 bytes, and 2201 bytes of the next, each with a 4-byte header
    assert len(data) == 4 + 4_800 + 4 + 2_201


async def test_reset_at_a_byte_of_received_audio() -> None:
    fault = _fault("stt", "reset", at={"byte": 16_000}, connection=1)
    async with _serving(fault) as (gateway, http):
        async with http.ws_connect(gateway.url + STT) as ws:
            await ws.send_bytes(tone(0.4))
            await asyncio.sleep(0.05)
            assert not ws.closed
            await ws.send_bytes(tone(0.2))
            last = (await _messages(ws))[-1]
            assert last.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert ws.close_code == 1006
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)
        assert (await hear(http, gateway.url + STT, UTTERANCE)).finals == [ORDER]


async def test_reset_of_an_answer_at_a_word() -> None:
    async with _serving(_fault("llm", "reset", at={"word": 5})) as (gateway, http):
        with pytest.raises(aiohttp.ClientError):
            async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
                await answer.read()
        await eventually(lambda: gateway.stats.snapshot()["llm"]["errors"] == 1)


async def test_close_with_a_code_at_a_message() -> None:
    async with _serving(_fault("stt", "close", code=4001, at={"message": 2})) as (gateway, http):
        heard = await hear(http, gateway.url + STT, tone(1), then=None)
        assert len(heard.messages) == 1
        assert heard.close_code == 4001
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)


async def test_accept_then_close() -> None:
    faults = [_fault(stage, "close", connection=[1, 2]) for stage in ("stt", "tts")]
    async with _serving(*faults) as (gateway, http):
        for path in (STT, TTS):
            for _ in range(2):
                async with http.ws_connect(gateway.url + path) as ws:
                    message = await ws.receive(timeout=5)
                    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
            async with http.ws_connect(gateway.url + path) as ws:
                assert await _messages(ws, 0.1) == []


async def test_close_of_an_answer_leaves_it_without_its_end() -> None:
    async with _serving(_fault("llm", "close", at={"message": 4})) as (gateway, http):
        body = await _body(http, gateway)
    assert body.count(b"data: ") == 3
    assert b"[DONE]" not in body


async def test_close_after_a_time() -> None:
    async with _serving(_fault("stt", "close", code=1012, at={"ms": 200})) as (gateway, http):
        loop = asyncio.get_running_loop()
        async with http.ws_connect(gateway.url + STT) as ws:
            start = loop.time()
            message = await ws.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
            assert 0.15 < loop.time() - start < 1


async def test_half_open_before_the_answer_is_a_black_hole() -> None:
    async with _serving(_fault("stt", "half_open")) as (gateway, _):
        reader, writer = await _handshake(gateway, STT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()


async def test_half_open_neither_reads_nor_writes_nor_closes() -> None:
    async with _serving(_fault("tts", "half_open", at={"message": 3})) as (gateway, _):
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
    fault = _fault("tts", "stall", ms=400, at={"message": 3})
    async with _serving(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        loop = asyncio.get_running_loop()
        await _speak(ws, "x" * 10)
        times = []
        for _ in range(6):
            await ws.receive(timeout=5)
            times.append(loop.time())
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps[1] == pytest.approx(0.4, abs=0.1)
        assert max(gaps[:1] + gaps[2:]) < 0.2


async def test_delay_and_jitter_keep_the_order() -> None:
    fault = _fault("tts", "delay", ms=150, jitter_ms=100, at={"message": 1})
    async with _serving(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await _speak(ws, "Hello there, what a day it is.")
        audio = bytearray()
        first_s = 0.0
        while len(audio) < 30 * CHAR_BYTES:
            audio += (await ws.receive(timeout=5)).data
            first_s = first_s or loop.time() - start
        assert 0.05 <= first_s < 0.45
    async with serving(sim=FAST) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await _speak(ws, "Hello there, what a day it is.")
        assert _audio(await _messages(ws)) == bytes(audio)


async def test_delay_before_the_answer_delays_the_handshake() -> None:
    async with _serving(_fault("stt", "delay", ms=300)) as (gateway, http):
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with http.ws_connect(gateway.url + STT):
            assert loop.time() - start >= 0.3


async def test_slice_writes_single_bytes() -> None:
    async with _serving(_fault("stt", "slice")) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE)
        assert heard.finals == [ORDER]
    async with _serving(_fault("llm", "slice", bytes=1)) as (gateway, _):
        reads = await _reads_of_an_answer(gateway)
    assert max(reads) <= 8  # the reader needs a few turns of the loop to be woken
    assert len(reads) > 100


async def _reads_of_an_answer(gateway: Gateway) -> list[int]:
    """Sizes of the reads in which an answer arrives."""
    host, port = gateway.url.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(_chat()).encode()
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
    async with _serving(_fault("llm", "drip", bytes_per_s=20)) as (gateway, http):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await http.post(gateway.url + "/chat/completions", json=_chat())
    async with _serving(_fault("stt", "drip", bytes_per_s=20)) as (gateway, _):
        reader, writer = await _handshake(gateway, STT)
        received = await _read_for(0.5, lambda: reader.readexactly(1))
        writer.close()
        assert 5 <= len(received) <= 12
        assert b"HTTP/1.1 101".startswith(received[:5])


async def test_drip_of_the_body() -> None:
    fault = _fault("llm", "drip", bytes_per_s=1, at={"message": 3})
    async with _serving(fault) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
            body = await _read_for(0.8, answer.content.readany)
        assert 2 <= body.count(b"data: ") <= 3


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
        _fault("stt", do, at={"message": 2}, times=2, **fields)
        if do != "error_message"
        else _fault("stt", do, at={"message": 2}, **fields),
        _fault("tts", do, **fields),
    ]
    async with _serving(*faults) as (gateway, http):
        async with http.ws_connect(gateway.url + STT) as ws:
            await ws.send_bytes(tone(0.9) + silence(0.4))
            await ws.send_str('{"type":"CloseStream"}')
            texts = [m.data for m in await _messages(ws, 2) if m.type is aiohttp.WSMsgType.TEXT]
        wrong = texts[1:3] if do != "error_message" else texts[1:2]
        for text in wrong:
            _check_wrong(do, text, fields)
        rest = [json.loads(text) for text in texts[:1] + texts[1 + len(wrong) :]]
        assert rest[-1] == {"is_final": True, "transcript": ORDER}
        async with http.ws_connect(gateway.url + TTS) as ws:
            message = await ws.receive(timeout=5)
            _check_wrong(do, message.data, fields)
            await _speak(ws, "Hi")
            assert len(_audio(await _messages(ws))) == 2 * CHAR_BYTES


@pytest.mark.parametrize(("do", "fields"), WRONG)
async def test_wrong_events_in_an_answer(do: str, fields: dict[str, Any]) -> None:
    async with _serving(_fault("llm", do, at={"message": 3}, **fields)) as (gateway, http):
        body = (await _body(http, gateway)).decode()
    events = [block.removeprefix("data: ") for block in body.split("\n\n") if block]
    _check_wrong(do, events[2], fields)
    assert events[-1] == "[DONE]"


async def test_oversize() -> None:
    faults = [_fault(stage, "oversize", bytes=3_000_000) for stage in ("stt", "tts", "llm")]
    async with _serving(*faults) as (gateway, http):
        for path in (STT, TTS):
            async with http.ws_connect(gateway.url + path, max_msg_size=4_000_000) as ws:
                assert len((await ws.receive(timeout=5)).data) >= 3_000_000
        assert len(await _body(http, gateway)) > 3_000_000


async def test_wrong_kind_of_frame() -> None:
    async with _serving(_fault("stt", "wrong_kind"), _fault("tts", "wrong_kind")) as (
        gateway,
        http,
    ):
        async with http.ws_connect(gateway.url + STT) as ws:
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY
        async with http.ws_connect(gateway.url + TTS) as ws:
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT


async def test_zero_length_frames() -> None:
    fault = _fault("tts", "zero_length", times=3, at={"message": 2})
    async with _serving(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await _speak(ws, "Hello")
        sizes = [len(m.data) for m in await _messages(ws)]
        assert sizes[1:4] == [0, 0, 0]
        assert sum(sizes) == 5 * CHAR_BYTES


async def test_odd_bytes_lose_nothing() -> None:
    async with _serving(_fault("tts", "odd_bytes")) as (gateway, http):
        async with http.ws_connect(gateway.url + TTS) as ws:
            await _speak(ws, "Hello")
            frames = [m.data for m in await _messages(ws)]
        assert any(len(frame) % 2 for frame in frames)
        gateway.faults.clear()
        async with http.ws_connect(gateway.url + TTS) as ws:
            await _speak(ws, "Hello")
            assert _audio(await _messages(ws)) == b"".join(frames)


def _pitch(audio: bytes) -> float:
    """Dominant frequency if played at 24 kHz."""
    samples = np.frombuffer(audio, "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 24_000 / len(samples))


async def test_wrong_rate() -> None:
    fault = _fault("tts", "wrong_rate", rate_hz=16_000)
    async with _serving(fault) as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await _speak(ws, "x" * 20)
        audio = _audio(await _messages(ws))
    assert len(audio) == pytest.approx(20 * CHAR_BYTES * 2 / 3, rel=0.05)
    assert _pitch(audio) == pytest.approx(220 * 1.5, rel=0.03)


# -- finals ---------------------------------------------------------------------------------------


async def test_late_final() -> None:
    async with _serving(_fault("stt", "late_final", ms=500)) as (gateway, http):
        heard = await hear(http, gateway.url + STT, tone(0.5) + silence(1.0))
    final_at = next(at for at, m in heard.messages if m["is_final"])
    assert final_at == pytest.approx(0.5 + 0.14 + 0.5, abs=0.1)


async def test_duplicate_final() -> None:
    fault = _fault("stt", "duplicate_final", at={"message": 2})
    async with _serving(fault) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE * 3)
    assert heard.finals == [ORDER] * 4


async def test_missing_final() -> None:
    fault = _fault("stt", "missing_final", at={"message": 1})
    async with _serving(fault) as (gateway, http):
        heard = await hear(http, gateway.url + STT, UTTERANCE * 2)
    assert heard.finals == [ORDER]
    assert heard.at(-1) > 1.2


# -- speech after a cancel, answers cut short -----------------------------------------------------


async def test_audio_after_cancel() -> None:
    slow = SimConfig(tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=2)
    async with serving(sim=slow) as (gateway, http):
        gateway.faults.set([_fault("tts", "audio_after_cancel", ms=500, at={"message": 1})])
        async with http.ws_connect(gateway.url + TTS, autoclose=False) as ws:
            await _speak(ws, "A text that takes a good while to speak.")
            await ws.receive(timeout=5)
            closing = asyncio.create_task(ws._writer.close(1000))  # a close frame, and read on
            await closing
            messages = await _messages(ws, 2)
        late = [m for m in messages if m.type is aiohttp.WSMsgType.BINARY]
        assert len(late) >= 5
        await eventually(lambda: gateway.stats.snapshot()["tts"]["closed_by_client"] == 1)


async def test_truncated_answer_ends_properly_in_the_middle_of_an_event() -> None:
    async with _serving(_fault("llm", "truncate", at={"message": 4})) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
            body = await answer.read()  # no payload error: HTTP thinks that this is all
        await eventually(lambda: gateway.stats.snapshot()["llm"]["errors"] == 1)
    *whole, half = body.split(b"\n\n")
    assert len(whole) == 3
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(half.removeprefix(b"data: "))


async def test_half_a_tool_call() -> None:
    tools = [{"type": "function", "function": {"name": "lookup_order", "parameters": {}}}]
    async with _serving(_fault("llm", "half_tool_call")) as (gateway, http):
        body = await _body(http, gateway, text="My email is anna at example dot com", tools=tools)
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


# -- scripts --------------------------------------------------------------------------------------


async def test_only_the_connections_that_are_named() -> None:
    async with _serving(_fault("stt", "http_status", connection=2)) as (gateway, http):
        outcomes = []
        for _ in range(3):
            try:
                async with http.ws_connect(gateway.url + STT):
                    outcomes.append(101)
            except aiohttp.WSServerHandshakeError as error:
                outcomes.append(error.status)
        assert outcomes == [101, 503, 101]
        assert gateway.stats.snapshot()["stt"]["faults"] == 1


async def test_chance_is_seeded() -> None:
    async def run(seed: int) -> list[int]:
        outcomes = []
        async with _serving(_fault("llm", "http_status", probability=0.5), seed=seed) as (
            gateway,
            http,
        ):
            for _ in range(12):
                async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
                    outcomes.append(answer.status)
        return outcomes

    first = await run(7)
    assert set(first) == {200, 503}
    assert await run(7) == first
    assert await run(8) != first


async def test_a_script_reaches_sockets_that_are_open() -> None:
    async with _serving() as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await _speak(ws, "one two.")
        assert await _messages(ws)
        gateway.faults.set([_fault("tts", "close", connection=1, at={"word": 3}, code=4000)])
        await _speak(ws, "three four five six.")
        await _messages(ws)
        assert ws.close_code == 4000
        assert gateway.faults.fired("close") == 1


async def test_a_script_out_of_force_leaves_open_sockets_alone() -> None:
    faulty = _serving(_fault("tts", "close", at={"word": 1}))
    async with faulty as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        gateway.faults.clear()
        text = "one two three four."
        await _speak(ws, text)
        assert sum(len(message.data) for message in await _messages(ws)) == len(text) * CHAR_BYTES


async def test_a_limit_is_for_all_connections_together() -> None:
    async with _serving(_fault("llm", "http_status", limit=2)) as (gateway, http):
        seen = []
        for _ in range(4):
            async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
                seen.append(answer.status)
        assert seen == [503, 503, 200, 200]
        assert gateway.faults.fired("http_status") == 2


async def test_setting_a_script_counts_anew() -> None:
    async with _serving(_fault("llm", "http_status", connection=1)) as (gateway, http):
        for status in (503, 200):
            async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
                assert answer.status == status
        gateway.faults.set([_fault("llm", "http_status", connection=1, status=500)])
        assert gateway.faults.fired("http_status") == 0
        async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
            assert answer.status == 500


async def test_a_kept_connection_is_sound_for_its_next_request() -> None:
    fault = _fault("llm", "drip", bytes_per_s=2_000, connection=1)
    async with _serving(fault) as (gateway, http):
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(2):
            start = loop.time()
            await _body(http, gateway)
            took.append(loop.time() - start)
        assert took[0] > 0.5
        assert took[1] < 0.3


async def test_admin_call() -> None:
    async with serving(sim=FAST, brain=BRAIN, key="k") as (gateway, http):
        url = gateway.url.removesuffix("/v1") + "/admin/faults"
        script = {"seed": 5, "faults": [_fault("llm", "http_status", status=500)]}
        async with http.put(url, json=script) as answer:
            assert (await answer.json())["seed"] == 5
        headers = {"Authorization": "Bearer k"}
        chat = gateway.url + "/chat/completions"
        async with http.post(chat, json=_chat(), headers=headers) as answer:
            assert answer.status == 500
        async with http.get(url) as answer:
            faults = (await answer.json())["faults"]
            assert faults == [_fault("llm", "http_status", status=500, fired=1)]
        async with http.delete(url) as answer:
            assert (await answer.json())["faults"] == []
        async with http.post(chat, json=_chat(), headers=headers) as answer:
            assert answer.status == 200
        async with http.put(url, json={"faults": [{"stage": "stt"}]}) as answer:
            assert answer.status == 400
            assert "fault 1" in (await answer.json())["error"]["message"]
        async with http.put(url, json=script, headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403


async def test_a_script_that_is_wrong_leaves_the_old_one_in_force() -> None:
    async with _serving(_fault("llm", "http_status")) as (gateway, http):
        with pytest.raises(ProtocolError):
            gateway.faults.set([_fault("llm", "odd_bytes")])
        async with http.post(gateway.url + "/chat/completions", json=_chat()) as answer:
            assert answer.status == 503


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"faults": [{"stage": "llm", "do": "http_status"}]}'),
        ("a.yaml", "faults:\n  - stage: llm\n    do: http_status\n"),
    ],
)
async def test_script_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    async with (
        serving(faults=tmp_path / name) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=_chat()) as answer,
    ):
        assert answer.status == 503


async def test_bad_base64() -> None:
    faulty = _serving(_fault("realtime", "bad_base64", times=2))
    async with faulty as (gateway, http), http.ws_connect(gateway.url + "/audio/realtime") as ws:
        await ws.send_str(json.dumps({"type": "config", "template": "voice-agent-fast"}))
        for _ in range(2):
            message = await ws.receive_json(timeout=10)
            assert message["type"] == "audio"
            with pytest.raises(binascii.Error):
                base64.b64decode(message["data"], validate=True)


def test_every_fault_has_a_test_here() -> None:
    source = Path(__file__).read_text()
    missing = [do.value for do in Do if f'"{do.value}"' not in source]
    assert missing == []
