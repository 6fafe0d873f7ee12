"""Chains of two gateways on real sockets, and everything that comes out of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
from livekit.agents import stt, tts
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit.limits import Limits

from agent.chain.health import LocalBoard
from agent.chain.route import BreakerLimits, ChainRoute, Hold, P, Stage
from agent.chain.settings import ChainSettings
from agent.chain.stt import ChainSTT
from agent.chain.tts import ChainTTS
from tests.sound_vad import SoundVad

from .aigateway_ears import Ear, Heard
from .aigateway_harness import (
    KEY,
    ScriptedServer,
    no_leaks,
)

NAMES = ("aigateway:first", "local:second")
WAITS = ChainSettings(probe_after_s=0.3, final_s=0.6)
RATE = 24_000


@dataclass
class Served:
    """Who served, in order: each final, or each text."""

    routes: list[str] = field(default_factory=list)

    def note(self, _: Stage, route: str) -> None:
        self.routes.append(route)


def routes_of(stage: Stage, plugins: Sequence[P]) -> list[ChainRoute[P]]:
    board = LocalBoard()
    return [
        ChainRoute(
            stage=stage,
            name=name,
            plugin=plugin,
            board=board,
            limits=BreakerLimits(),
            hold=Hold(first_s=WAITS.probe_after_s, longest_s=WAITS.probe_longest_s),
        )
        for name, plugin in zip(NAMES, plugins, strict=True)
    ]


@contextlib.asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[ScriptedServer, ScriptedServer]]:
    first, second = ScriptedServer(), ScriptedServer()
    async with first.run(), second.run():
        yield first, second


@dataclass
class ChainEar:
    """A chain of recognisers with one stream."""

    chain: ChainSTT
    stream: stt.RecognizeStream
    served: Served
    _ear: Ear

    @property
    def heard(self) -> Heard:
        return self._ear.heard

    async def finish(self) -> Heard:
        return await self._ear.finish()


@contextlib.asynccontextmanager
async def chain_ear(*urls: str, **options: Any) -> AsyncIterator[ChainEar]:
    async with no_leaks(), aiohttp.ClientSession() as http:
        plugins: list[stt.STT[Any]] = [
            aigateway.STT(base_url=url, api_key=KEY, http_session=http, **options) for url in urls
        ]
        chain = ChainSTT(routes_of("stt", plugins), vad=SoundVad(), waits=WAITS)
        served = Served()
        chain.members.on_served(served.note)
        stream = chain.stream()
        try:
            yield ChainEar(chain, stream, served, Ear(cast("Any", chain), cast("Any", stream)))
        finally:
            await stream.aclose()
            await chain.aclose()


@dataclass
class ChainVoice:
    """A chain of voices."""

    chain: ChainTTS
    served: Served

    async def say(self, *texts: str) -> list[tts.SynthesizedAudio]:
        async with self.chain.stream() as stream:
            for text in texts:
                stream.push_text(text)
            stream.end_input()
            return [event async for event in stream]


@contextlib.asynccontextmanager
async def chain_voice(
    *urls: str, rates: Sequence[int] = (RATE, RATE), waits: ChainSettings = WAITS
) -> AsyncIterator[ChainVoice]:
    async with no_leaks(), aiohttp.ClientSession() as http:
        plugins: list[tts.TTS[Any]] = [
            aigateway.TTS(
                base_url=url,
                api_key=KEY,
                sample_rate=rate,
                http_session=http,
                limits=Limits(resumes=1),
                timeouts=aigateway.TTSTimeouts(
                    first_audio_s=waits.first_audio_s, inter_chunk_s=waits.stall_s
                ),
            )
            for url, rate in zip(urls, rates, strict=True)
        ]
        chain = ChainTTS(routes_of("tts", plugins), waits=waits)
        served = Served()
        chain.members.on_served(served.note)
        try:
            yield ChainVoice(chain, served)
        finally:
            await chain.aclose()
