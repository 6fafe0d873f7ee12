"""An STT under test, and everything that comes out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit.agents import (
    APIConnectOptions,
    APIError,
    stt,
)
from livekit.agents.metrics import STTMetrics
from livekit.plugins import aigateway

from tests.faults_met import FaultsMet

from .aigateway_harness import (
    KEY,
    Connection,
    Handler,
    ScriptedServer,
    no_leaks,
    speak,
    transcribe,
)

T = stt.SpeechEventType
RETRY_3 = APIConnectOptions(max_retry=3, retry_interval=0.2, timeout=2.0)


@dataclass
class Heard:
    """The events of one stream, and of the STT it belongs to."""

    events: list[stt.SpeechEvent] = field(default_factory=list)
    errors: list[stt.STTError] = field(default_factory=list)
    metrics: list[STTMetrics] = field(default_factory=list)
    raised: BaseException | None = None
    faults: dict[str, int] = field(default_factory=dict)
    """How often each kind of fault was met, by metric and log event alike."""

    def of(self, kind: T) -> list[stt.SpeechEvent]:
        return [event for event in self.events if event.type is kind]

    @property
    def finals(self) -> list[str]:
        return [event.alternatives[0].text for event in self.of(T.FINAL_TRANSCRIPT)]

    @property
    def words(self) -> list[str]:
        return " ".join(self.finals).split()

    def assert_in_order(self) -> None:
        """START, then transcripts, then FINAL, then END; texts, languages and times all there."""
        speaking = False
        last_preflight = ""
        latest = 0.0
        for event in self.events:
            if event.type is T.START_OF_SPEECH:
                assert not speaking
                speaking = True
            elif event.type is T.END_OF_SPEECH:
                assert speaking
                speaking = False
            elif event.type is not T.RECOGNITION_USAGE:
                assert speaking
                data = event.alternatives[0]
                assert data.text
                assert data.language == "en"
                assert event.request_id
                assert 0.0 <= data.start_time <= data.end_time
                if event.type is T.FINAL_TRANSCRIPT:
                    assert data.start_time >= latest
                    latest = data.end_time
                if event.type is T.PREFLIGHT_TRANSCRIPT:
                    assert data.text != last_preflight
                    last_preflight = data.text
                elif event.type is T.FINAL_TRANSCRIPT or data.text != last_preflight:
                    last_preflight = ""  # other words in between: its reply was thrown away
        assert not speaking


class Ear:
    """An STT, one of its streams, and everything that comes out of both."""

    def __init__(
        self,
        engine: aigateway.STT,
        stream: aigateway.SpeechStream,
        faults: FaultsMet | None = None,
    ) -> None:
        self.engine = engine
        self.stream = stream
        self.heard = Heard()
        self._faults = faults
        engine.on("error", self.heard.errors.append)
        engine.on("metrics_collected", self.heard.metrics.append)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.stream:
                self.heard.events.append(event)
        except APIError as exc:
            self.heard.raised = exc

    async def finish(self, timeout_s: float = 15.0) -> Heard:
        with contextlib.suppress(RuntimeError):  # a stream that has failed takes no more input
            self.stream.end_input()
        await asyncio.wait_for(self._reader, timeout_s)
        if self._faults is not None:
            self.heard.faults = self._faults.counts
        return self.heard


@contextlib.asynccontextmanager
async def ear(
    url: str, *, conn_options: APIConnectOptions = RETRY_3, **options: Any
) -> AsyncIterator[Ear]:
    async with no_leaks(), aiohttp.ClientSession() as http:
        engine = aigateway.STT(base_url=url, api_key=KEY, http_session=http, **options)
        with FaultsMet(engine.faults) as faults:
            stream = engine.stream(conn_options=conn_options)
            try:
                yield Ear(engine, stream, faults)
            finally:
                await stream.aclose()
                await engine.aclose()


@contextlib.asynccontextmanager
async def server(*scripts: Handler) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    scripted.stt = list(scripts) or [transcribe]
    async with scripted.run():
        yield scripted


async def reset_after(conn: Connection, *, ms: float) -> None:
    await transcribe(conn, until_ms=ms)
    conn.reset()


async def speak_quietly(it: Ear, pcm: bytes) -> None:
    """Speak to a stream that may end meanwhile."""
    with contextlib.suppress(RuntimeError):
        await speak(it.stream, pcm)
