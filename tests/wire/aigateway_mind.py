"""An LLM under test against scripted answers, and everything that it reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from livekit.agents import (
    APIConnectOptions,
    function_tool,
    llm,
)
from livekit.agents.metrics import LLMMetrics
from livekit.plugins import aigateway

from tests.faults_met import FaultsMet

from .aigateway_harness import KEY, ScriptedServer, no_leaks

RETRY_3 = APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=2.0)
Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


@function_tool
async def lookup_order(email: str) -> str:
    """Find an order.

    Args:
        email: Address of the customer.
    """
    return email


def text(content: str) -> dict[str, Any]:
    return {"content": content}


def call(arguments: str, *, name: str | None = None) -> dict[str, Any]:
    function: dict[str, str] = {"arguments": arguments} | ({"name": name} if name else {})
    part: dict[str, Any] = {"index": 0, "function": function}
    if name:
        part |= {"id": "call_1", "type": "function"}
    return {"tool_calls": [part]}


def answer(
    *deltas: dict[str, Any],
    finish: str | None = "stop",
    reset: bool = False,
    gap_s: float = 0.0,
) -> Script:
    """A script that streams the deltas, and may break off."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunks: list[dict[str, Any]] = [
            {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        if finish is not None:
            chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
        for choice in chunks:
            body = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            line = json.dumps({**body, "choices": [choice]})
            await response.write(f"data: {line}\n\n".encode())
            await asyncio.sleep(gap_s)
        if reset:
            assert request.transport is not None
            request.transport.abort()
        elif finish is not None:
            await response.write(b"data: [DONE]\n\n")
        return response

    return script


def status(code: int, **headers: str) -> Script:
    async def script(_: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": f"no, {KEY}", "code": "x"}}, status=code, headers=headers
        )

    return script


@dataclass
class Mind:
    """An LLM and everything that it reports."""

    engine: aigateway.LLM
    server: ScriptedServer
    met: FaultsMet
    errors: list[llm.LLMError] = field(default_factory=list)
    metrics: list[LLMMetrics] = field(default_factory=list)
    said: str = ""
    calls: list[llm.FunctionToolCall] = field(default_factory=list)

    async def ask(self, *, conn_options: APIConnectOptions = RETRY_3) -> None:
        ctx = llm.ChatContext.empty()
        ctx.add_message(role="user", content="Where is my order?")
        stream = self.engine.chat(chat_ctx=ctx, tools=[lookup_order], conn_options=conn_options)
        async with stream:
            async for chunk in stream:
                if chunk.delta is not None:
                    self.said += chunk.delta.content or ""
                    self.calls += chunk.delta.tool_calls

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault was met, by metric and log event alike."""
        return self.met.counts

    @property
    def requests(self) -> list[dict[str, str]]:
        return self.server.requests


@contextlib.asynccontextmanager
async def mind(*scripts: Script, **options: Any) -> AsyncIterator[Mind]:
    scripted = ScriptedServer()
    scripted.http = list(scripts)
    async with scripted.run(), no_leaks():
        options.setdefault("base_url", scripted.url)
        engine = aigateway.LLM(api_key=KEY, **options)
        with FaultsMet(engine.faults) as met:
            it = Mind(engine, scripted, met)
            engine.on("error", it.errors.append)
            engine.on("metrics_collected", it.metrics.append)
            try:
                yield it
            finally:
                await engine.aclose()
