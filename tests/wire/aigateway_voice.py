"""A TTS under test, and everything that it reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit.agents import APIConnectOptions, tts
from livekit.agents.metrics import TTSMetrics
from livekit.plugins import aigateway

from tests.faults_met import FaultsMet

from .aigateway_harness import (
    KEY,
    Connection,
    Handler,
    ScriptedServer,
    no_leaks,
    synthesize,
)

RETRY_3 = APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=2.0)
LONG = "The order has been shipped today. It will arrive on Monday morning. Anything else?"


@dataclass
class Voice:
    """A TTS and everything that it reports."""

    engine: aigateway.TTS
    server: ScriptedServer
    met: FaultsMet
    errors: list[tts.TTSError] = field(default_factory=list)
    metrics: list[TTSMetrics] = field(default_factory=list)

    async def say(
        self, *texts: str, conn_options: APIConnectOptions = RETRY_3
    ) -> list[tts.SynthesizedAudio]:
        """Push the texts, and hear the reply to its end."""
        async with self.engine.stream(conn_options=conn_options) as stream:
            for text in texts:
                stream.push_text(text)
            stream.end_input()
            return [event async for event in stream]

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault was met, by metric and log event alike."""
        return self.met.counts

    @property
    def connections(self) -> list[Connection]:
        return self.server.connections["tts"]

    async def spare(self) -> None:
        """Wait until the pool's spare is connected."""
        async with asyncio.timeout(2.0):
            while self.engine._pool._spare is None:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def voice_of(*scripts: Handler, **options: Any) -> AsyncIterator[Voice]:
    scripted = ScriptedServer()
    scripted.tts = list(scripts) or [synthesize]
    async with scripted.run(), no_leaks(), aiohttp.ClientSession() as http:
        options.setdefault("base_url", scripted.url)
        engine = aigateway.TTS(api_key=KEY, http_session=http, **options)
        with FaultsMet(engine.faults) as met:
            it = Voice(engine, scripted, met)
            engine.on("error", it.errors.append)
            engine.on("metrics_collected", it.metrics.append)
            try:
                yield it
            finally:
                await engine.aclose()


def assert_well_formed(events: list[tts.SynthesizedAudio]) -> None:
    """One request id, frames of at most 200 ms, only the last one final."""
    assert len({event.request_id for event in events}) == 1
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert all(0 < event.frame.duration <= 0.2 for event in events)
