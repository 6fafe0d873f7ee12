"""S16, S17: no fault of the vocabulary, at any stage, makes a plugin print a secret."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, llm, stt, tts
from livekit.agents.telemetry import tracer
from livekit.plugins import aigateway, gateflow
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from agent.observe.metrics import watch_faults
from gateway.faults.vocabulary import KINDS, Do
from gateway.stats import Stage
from tests.wire.gateflow_harness import FAST
from tests.wire.vendors import KEY, frames, spoken, standing_in

PASSWORD = "canary-password-0815"
OTHER_KEY = "canary-key-that-the-gateway-does-not-know-4712"
SECRETS = (KEY, OTHER_KEY, PASSWORD)
CONNECT = APIConnectOptions(max_retry=1, retry_interval=0.01, timeout=0.6)
AT_ONCE = 8
"""Gateways at once."""
GIVE_UP_S = 8.0
MOST_S = 1.0
Attempt = Callable[[dict[str, Any]], Awaitable[object]]


# -- what can be asked of each stage ---------------------------------------------------------------


async def _ask(plugin: Any, use: Callable[[], Awaitable[object]], *, teller: Any = None) -> object:
    """Use a plugin; what it was and what it said of its failure."""
    watch_faults([plugin])
    said: list[object] = []
    (teller or plugin).on("error", said.append)
    try:
        async with asyncio.timeout(GIVE_UP_S):
            await use()
    except (APIError, llm.RealtimeError, TimeoutError) as e:
        said += [e, "".join(traceback.format_exception(e))]
    finally:
        await plugin.aclose()
    return plugin, vars(plugin), said


async def _hear(stream: stt.RecognizeStream) -> None:
    async with stream:
        for frame in frames(spoken(0.3)):
            stream.push_frame(frame)
        stream.end_input()
        async for _ in stream:
            pass


async def _speak(stream: tts.SynthesizeStream) -> None:
    async with stream:
        stream.push_text("It arrives on Monday.")
        stream.end_input()
        async for _ in stream:
            pass


async def _answer(model: llm.LLM[Any]) -> None:
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="user", content="Where is my order?")
    async with model.chat(chat_ctx=ctx, conn_options=CONNECT) as stream:
        async for _ in stream:
            pass


async def stt_stream(access: dict[str, Any]) -> object:
    waits = aigateway.STTTimeouts(
        silence_watchdog_s=0.4, final_s=0.3, drain_s=0.5, reconnect_s=MOST_S
    )
    plugin = aigateway.STT(**access, timeouts=waits)
    return await _ask(plugin, lambda: _hear(plugin.stream(conn_options=CONNECT)))


async def stt_batch(access: dict[str, Any]) -> object:
    plugin = aigateway.STT(**access)
    return await _ask(plugin, lambda: plugin.recognize(_recording(), conn_options=CONNECT))


async def stt_gateflow(access: dict[str, Any]) -> object:
    waits = gateflow.STTTimeouts(
        first_line_s=0.4, between_lines_s=0.4, total_s=MOST_S, segment_s=MOST_S
    )
    plugin = gateflow.STT(**access, timeouts=waits)
    return await _ask(plugin, lambda: plugin.recognize(_recording(), conn_options=CONNECT))


async def llm_aigateway(access: dict[str, Any]) -> object:
    plugin = aigateway.LLM(**_without_session(access))
    return await _ask(plugin, lambda: _answer(plugin))


async def llm_gateflow(access: dict[str, Any]) -> object:
    plugin = gateflow.LLM(**_without_session(access))
    return await _ask(plugin, lambda: _answer(plugin))


async def tts_stream(access: dict[str, Any]) -> object:
    waits = aigateway.TTSTimeouts(first_audio_s=0.4, inter_chunk_s=0.3)
    plugin = aigateway.TTS(**access, timeouts=waits)
    return await _ask(plugin, lambda: _speak(plugin.stream(conn_options=CONNECT)))


async def tts_gateflow(access: dict[str, Any]) -> object:
    waits = gateflow.TTSTimeouts(first_audio_s=0.4, inter_chunk_s=0.3, total_s=MOST_S)
    plugin = gateflow.TTS(**access, timeouts=waits)
    return await _ask(plugin, lambda: _speak(plugin.stream(conn_options=CONNECT)))


async def _realtime(access: dict[str, Any], transport: Any) -> object:
    waits = gateflow.RealtimeTimeouts(
        first_event_s=0.4, between_events_s=0.3, quiet_s=0.2, turn_s=MOST_S, reconnect_s=MOST_S,
        close_s=0.2,
    )  # fmt: skip
    plugin = gateflow.RealtimeModel(**access, transport=transport, timeouts=waits)
    session = plugin.session()

    async def talk() -> None:
        for frame in frames(spoken(0.3)):
            session.push_audio(frame)
        session.commit_audio()
        if transport == "pipeline":
            await session.generate_reply()
        await asyncio.sleep(MOST_S)

    try:
        return await _ask(plugin, talk, teller=session), session
    finally:
        await session.aclose()


async def realtime_pipeline(access: dict[str, Any]) -> object:
    return await _realtime(access, "pipeline")


async def realtime_socket(access: dict[str, Any]) -> object:
    return await _realtime(access, "websocket")


def _recording() -> rtc.AudioFrame:
    return rtc.combine_audio_frames(frames(spoken(0.3)))


def _without_session(access: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in access.items() if name != "http_session"}


ATTEMPTS: dict[Stage, tuple[Attempt, ...]] = {
    "stt": (stt_stream, stt_batch, stt_gateflow),
    "llm": (llm_aigateway, llm_gateflow),
    "tts": (tts_stream, tts_gateflow),
    "realtime": (realtime_pipeline, realtime_socket),
}


# -- what is printed -------------------------------------------------------------------------------


@dataclass
class Printed(logging.Handler):
    """Everything that a process would show: log records, and spans with their events."""

    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{self.format(record)} {record.__dict__}")

    def everything(self) -> str:
        spans = "".join(span.to_json() for span in self.spans.get_finished_spans())
        return "\n".join([*self.texts, spans, generate_latest().decode()])


@pytest.fixture
def printed() -> Iterator[Printed]:
    watching = Printed()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(watching.spans))
    before = tracer._tracer_provider
    tracer.set_provider(provider)
    root = logging.getLogger()
    root.addHandler(watching)
    yield watching
    root.removeHandler(watching)
    tracer.set_provider(before)


@contextlib.asynccontextmanager
async def thief() -> AsyncIterator[tuple[str, list[str]]]:
    """Where a redirect leads, and what came there."""
    came: list[str] = []

    async def take(request: web.Request) -> web.Response:
        came.append(f"{request.method} {request.headers} {await request.text()}")
        return web.json_response({"text": "stolen"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", came
    finally:
        await runner.cleanup()


def _fault(stage: Stage, do: Do, *, elsewhere: str) -> dict[str, Any]:
    """A fault with a secret wherever one fits."""
    parameters: dict[Do, dict[str, Any]] = {
        Do.REDIRECT: {"location": f"http://{elsewhere}/v1/elsewhere"},
        Do.HTTP_STATUS: {"status": 429, "retry_after": KEY},
        Do.STALL: {"ms": 300},
        Do.LATE_FINAL: {"ms": 100},
    }
    return {"stage": stage, "do": do.value} | parameters.get(do, {})


async def test_S16_S17_no_fault_makes_a_plugin_print_a_secret(printed: Printed) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    never: list[str] = []

    async def meet(stage: Stage, do: Do, elsewhere: str) -> None:
        async with turns, standing_in(sim=FAST) as (gateway, http):
            gateway.faults.set([_fault(stage, do, elsewhere=elsewhere)], seed=1)
            url = gateway.url.replace("http://", f"http://user:{PASSWORD}@")
            access = {"base_url": url, "api_key": f"{KEY},{OTHER_KEY}", "http_session": http}
            for attempt in ATTEMPTS[stage]:
                printed.texts.append(repr(await attempt(access)))
            if not gateway.faults.fired(do.value):
                never.append(f"{stage} {do}")

    async with thief() as (elsewhere, came):
        cases = [(stage, do) for do, kind in KINDS.items() for stage in kind.stages]
        await asyncio.gather(*(meet(stage, do, elsewhere) for stage, do in cases))
    assert came == []
    everything = printed.everything()
    assert "credentials inside base_url are ignored" in everything, "no record was watched"
    assert printed.spans.get_finished_spans(), "no span was watched"
    assert "key refused" in everything, "the second key was never tried"
    assert not [line for line in everything.splitlines() if any(s in line for s in SECRETS)]
    # the simulated model calls no tool here
    assert never == ["llm half_tool_call"], "a fault was never put on the wire"
