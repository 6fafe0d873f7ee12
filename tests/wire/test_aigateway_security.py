"""Secrets stay where they belong, and addresses that are wrong are told from those that are
down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from livekit.agents import APIConnectOptions, APIError, llm, tts
from livekit.plugins import aigateway

from tests.faults_met import FaultsMet

from .aigateway_harness import (
    KEY,
    Connection,
    ScriptedServer,
    frames,
    no_leaks,
    say,
    synthesize,
    transcribe,
)

ONCE = APIConnectOptions(max_retry=0, timeout=1.0)
PASSWORD = "hunter2-canary"
SPOKEN = "canary words spoken"


@dataclass(frozen=True)
class Failure:
    """How a request failed."""

    error: Exception
    faults: dict[str, int]


async def fail_stt(url: str, http: aiohttp.ClientSession) -> Failure:
    engine = aigateway.STT(base_url=url, api_key=KEY, http_session=http)
    with FaultsMet(engine.faults) as met:
        stream = engine.stream(conn_options=ONCE)
        for frame in frames(say(["alpha"])):
            stream.push_frame(frame)
        stream.end_input()
        error = await _failure_of(stream)
        await engine.aclose()
    return Failure(error, met.counts)


async def fail_batch(url: str, http: aiohttp.ClientSession) -> Failure:
    engine = aigateway.STT(base_url=url, api_key=KEY, http_session=http)
    with FaultsMet(engine.faults) as met:
        with pytest.raises(APIError) as failure:
            await engine.recognize(frames(say(["alpha"])), conn_options=ONCE)
        await engine.aclose()
    return Failure(failure.value, met.counts)


async def fail_tts(url: str, http: aiohttp.ClientSession) -> Failure:
    engine = aigateway.TTS(base_url=url, api_key=KEY, http_session=http)
    with FaultsMet(engine.faults) as met:
        stream = engine.stream(conn_options=ONCE)
        stream.push_text(SPOKEN + ".")
        stream.end_input()
        error = await _failure_of(stream)
        await engine.aclose()
    return Failure(error, met.counts)


async def fail_llm(url: str, http: aiohttp.ClientSession) -> Failure:
    engine = aigateway.LLM(base_url=url, api_key=KEY)
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="user", content=SPOKEN)
    with FaultsMet(engine.faults) as met:
        error = await _failure_of(engine.chat(chat_ctx=ctx, conn_options=ONCE))
        await engine.aclose()
    return Failure(error, met.counts)


async def _failure_of(
    stream: aigateway.SpeechStream | tts.SynthesizeStream | llm.LLMStream,
) -> APIError:
    try:
        with pytest.raises(APIError) as failure:
            async for _ in stream:
                pass
    finally:
        await stream.aclose()
    return failure.value


EVERY = pytest.mark.parametrize("fail", [fail_stt, fail_batch, fail_tts, fail_llm])


def everything_printed(error: BaseException | None) -> str:
    """What a traceback with all its causes would show."""
    seen = ""
    while error is not None:
        seen += f"{error!r} {error} "
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return seen


@contextlib.asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with no_leaks(), aiohttp.ClientSession() as http:
        yield http


@EVERY
@pytest.mark.parametrize("code", [401, 429, 500])
async def test_S16_no_secret_is_printed_when_a_server_echoes_it(
    fail: object, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(_: web.Request) -> web.Response:
        body = {"error": {"message": f"{KEY} {SPOKEN}", "code": KEY}}
        return web.json_response(body, status=code, headers={"X-Echo": KEY})

    caplog.set_level(logging.DEBUG, logger="livekit")
    server = ScriptedServer()
    server.http = [echo]
    server.refuse_with = code
    async with server.run(), session() as http:
        failure = await fail(server.url, http)  # type: ignore[operator]
    kind = {401: "rejected", 429: "rate_limited", 500: "server_error"}[code]
    assert set(failure.faults) == {kind}
    printed = (
        everything_printed(failure.error) + caplog.text + str([r.__dict__ for r in caplog.records])
    )
    assert KEY not in printed
    assert SPOKEN not in printed


@EVERY
async def test_S17_credentials_in_an_address_are_never_printed(
    fail: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="livekit")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://user:{PASSWORD}@127.0.0.1:{probe.getsockname()[1]}/v1"
        async with session() as http:
            failure = await fail(url, http)  # type: ignore[operator]
    assert PASSWORD not in everything_printed(failure.error) + caplog.text
    assert "credentials inside base_url are ignored" in caplog.text


@EVERY
async def test_S17_redirects_are_not_followed_with_the_key(fail: object) -> None:
    seen: list[dict[str, str]] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        ws = web.WebSocketResponse()
        if ws.can_prepare(request):
            await ws.prepare(request)
            await ws.receive()
            return ws
        return web.json_response({"text": "stolen"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    thief = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/x"

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": thief})

    gate = web.Application()
    gate.router.add_route("*", "/{path:.*}", redirect)
    gate_runner = web.AppRunner(gate, shutdown_timeout=0.1)
    await gate_runner.setup()
    await web.TCPSite(gate_runner, "127.0.0.1", 0).start()
    try:
        async with session() as http:
            url = f"http://127.0.0.1:{gate_runner.addresses[0][1]}/v1"
            failure = await fail(url, http)  # type: ignore[operator]
        assert isinstance(failure.error, APIError)
        assert not failure.error.retryable
        assert seen == []
    finally:
        await gate_runner.cleanup()
        await runner.cleanup()


@EVERY
@pytest.mark.parametrize(
    ("address", "retryable"),
    [("http://no-such-host.invalid/v1", True), ("refused", True), ("tls", False)],
)
async def test_F28_dns_and_refused_may_pass_and_tls_does_not(
    fail: object, address: str, retryable: bool
) -> None:
    server = ScriptedServer()
    async with server.run(), session() as http:
        if address == "tls":
            address = server.url.replace("http://", "https://")
        elif address == "refused":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                address = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        failure = await fail(address, http)  # type: ignore[operator]
    assert isinstance(failure.error, APIError)
    assert failure.error.retryable is retryable
    assert set(failure.faults) == {"not_connected"}
    # a voice's spare meets it too, as often as its back-off lets it try meanwhile
    assert failure.faults["not_connected"] == 1 or fail is fail_tts


@pytest.mark.parametrize("engine", [aigateway.STT, aigateway.TTS, aigateway.LLM])
def test_a_missing_key_says_which_variable(engine: type) -> None:
    with pytest.raises(ValueError, match="AIGATEWAY_API_KEY"):
        engine()


def test_the_environment_gives_key_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGATEWAY_API_KEY", KEY)
    monkeypatch.setenv("AIGATEWAY_BASE_URL", "wss://gate.example/v2/")
    engine = aigateway.TTS()
    assert engine._opts.base_url == "https://gate.example/v2"
    assert engine._opts.keys.take().secret == KEY
    assert KEY not in repr(engine._opts) + repr(engine) + repr(vars(engine))


async def test_S07_no_compression_is_offered() -> None:
    server = ScriptedServer()

    async def note(conn: Connection) -> None:
        await (transcribe if "transcriptions" in conn.request.path else synthesize)(conn)

    server.stt = server.tts = [note]
    async with server.run(), session() as http:
        ears = aigateway.STT(base_url=server.url, api_key=KEY, http_session=http)
        voice = aigateway.TTS(base_url=server.url, api_key=KEY, http_session=http)
        ears.prewarm()
        voice.prewarm()
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        await ears.aclose()
        await voice.aclose()
    assert not any("Sec-WebSocket-Extensions" in headers for headers in server.requests)
