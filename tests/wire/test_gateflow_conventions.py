"""LiveKit's conventions for providers over GateFlow's wire: how often, and for how long."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, APITimeoutError, llm
from livekit.plugins import gateflow

from tests.faults_met import FaultsMet

from .aigateway_harness import black_hole, no_leaks
from .gateflow_harness import rig
from .vendors import KEY, frames, spoken

RETRIES = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0.0)


async def hear(access: dict[str, Any], options: APIConnectOptions, errors: list[Any]) -> Any:
    timeouts = gateflow.STTTimeouts(first_line_s=options.timeout)
    plugin = gateflow.STT(**access, timeouts=timeouts)
    return await _use(
        plugin, errors, lambda: plugin.recognize(frames(spoken(0.3)), conn_options=options)
    )


async def say(access: dict[str, Any], options: APIConnectOptions, errors: list[Any]) -> Any:
    timeouts = gateflow.TTSTimeouts(first_audio_s=options.timeout)
    plugin = gateflow.TTS(**access, timeouts=timeouts)

    async def speak() -> None:
        async with plugin.stream(conn_options=options) as stream:
            stream.push_text("Hello there.")
            stream.end_input()
            async for _ in stream:
                pass

    return await _use(plugin, errors, speak)


async def think(access: dict[str, Any], options: APIConnectOptions, errors: list[Any]) -> Any:
    plugin = gateflow.LLM(base_url=access["base_url"], api_key=KEY)
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="user", content="Hello.")

    async def ask() -> None:
        async with plugin.chat(chat_ctx=ctx, conn_options=options) as stream:
            async for _ in stream:
                pass

    return await _use(plugin, errors, ask)


async def _use(plugin: Any, errors: list[Any], use: Callable[[], Awaitable[object]]) -> Any:
    """Use a plugin until it fails; the faults that it counted."""
    plugin.on("error", errors.append)
    with FaultsMet(plugin.faults) as met:
        try:
            with pytest.raises(APIError):
                await use()
        finally:
            await plugin.aclose()
        return met.counts


EVERY = pytest.mark.parametrize("use", [hear, say, think])


@EVERY
async def test_a_black_hole_times_out_in_time_with_one_error_an_attempt(use: Any) -> None:
    errors: list[Any] = []
    async with black_hole() as url, no_leaks(), aiohttp.ClientSession() as http:
        access = {"base_url": url, "api_key": KEY, "http_session": http}
        began = time.monotonic()
        counts = await use(access, RETRIES, errors)
        assert time.monotonic() - began >= (RETRIES.max_retry + 1) * RETRIES.timeout - 0.1
    assert [error.recoverable for error in errors] == [True, True, True, False]
    assert all(isinstance(error.error, APITimeoutError) for error in errors)
    assert counts == {"timed_out": RETRIES.max_retry + 1}


@EVERY
@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_final_statuses_are_not_retried(use: Any, status: int) -> None:
    errors: list[Any] = []
    stage = {hear: "stt", say: "tts", think: "llm"}[use]
    async with rig() as it:
        it.fault(stage, "http_status", status=status)
        counts = await use(it.access, RETRIES, errors)
        assert it.gateway.faults.fired("http_status") == 1
    [error] = errors
    assert isinstance(error.error, APIStatusError)
    assert error.error.status_code == status
    assert not error.recoverable
    assert counts == {"rejected": 1}
