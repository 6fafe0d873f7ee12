"""The plugin against the local gateway itself, whose counters say what was asked of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIStatusError, llm
from livekit.plugins import aigateway

from gateway.config import GatewayConfig
from gateway.server import Gateway

from .aigateway_harness import KEY, no_leaks


@contextlib.asynccontextmanager
async def gateway(**options: Any) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    config = GatewayConfig(port=0, key=KEY, **options)
    async with Gateway(config) as gw, no_leaks(), aiohttp.ClientSession() as http:
        yield gw, http


async def settle(gw: Gateway, stage: str) -> dict[str, int]:
    """The counters of a stage once its sockets have ended."""
    async with asyncio.timeout(2.0):
        while gw.stats.snapshot()[stage]["open"]:
            await asyncio.sleep(0.01)
    return dict(gw.stats.snapshot()[stage])


@pytest.mark.parametrize("extended", [False, True])
async def test_a_reply_of_the_simulated_voice(extended: bool) -> None:
    async with gateway(extended=extended) as (gw, http):
        voice = aigateway.TTS(base_url=gw.url, api_key=KEY, model="sim/tts", http_session=http)
        async with voice.stream() as stream:
            stream.push_text("Your order has shipped. It arrives on Monday.")
            stream.end_input()
            seconds = sum([event.frame.duration async for event in stream])
        assert 2.0 < seconds < 4.0
        assert voice.stats.quiet_ends == (0 if extended else 1)
        assert voice.stats.resumes == 0
        await voice.aclose()
        assert (await settle(gw, "tts"))["errors"] == 0


async def test_barge_ins_close_upstream_and_cost_no_handshake_on_the_way_to_a_reply() -> None:
    async with gateway() as (gw, http):
        voice = aigateway.TTS(base_url=gw.url, api_key=KEY, model="sim/tts", http_session=http)
        voice.prewarm()
        for _ in range(3):
            while voice._pool._spare is None:
                await asyncio.sleep(0.01)
            async with voice.stream() as stream:
                stream.push_text("This is a long reply that nobody wants to hear to its end.")
                await anext(stream)
        await voice.aclose()
        counted = await settle(gw, "tts")
        assert voice.stats.cold_starts == 0
        assert counted["closed_by_client"] == 3
        assert counted["opened"] == 4  # three replies and the spare


@pytest.mark.parametrize("engine", ["stt", "tts", "llm"])
async def test_a_wrong_key_and_an_unknown_model_are_final(engine: str) -> None:
    async with gateway() as (gw, http):
        for key, model, status in (("wrong", f"sim/{engine}", 401), (KEY, "no/such", 404)):
            with pytest.raises(APIStatusError) as failure:
                await ask(engine, gw.url, key, model, http)
            assert failure.value.status_code == status
            assert KEY not in repr(failure.value)


async def ask(engine: str, url: str, key: str, model: str, http: aiohttp.ClientSession) -> None:
    if engine == "stt":
        ears = aigateway.STT(base_url=url, api_key=key, model=model, http_session=http)
        async with ears, ears.stream() as hearing:
            hearing.end_input()
            async for _ in hearing:
                pass
    elif engine == "tts":
        voice = aigateway.TTS(base_url=url, api_key=key, model=model, http_session=http)
        async with voice, voice.stream() as speaking:
            speaking.push_text("Hello.")
            speaking.end_input()
            async for _ in speaking:
                pass
    else:
        async with aigateway.LLM(base_url=url, api_key=key, model=model) as mind:
            ctx = llm.ChatContext.empty()
            ctx.add_message(role="user", content="Hello.")
            async with mind.chat(chat_ctx=ctx) as thinking:
                async for _ in thinking:
                    pass
