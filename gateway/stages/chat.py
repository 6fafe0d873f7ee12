"""Chat completions: streamed or whole, by a local engine or by the server behind `--llm-url`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from gateway.engines.base import ChatEngine
from gateway.engines.tokens import count_tokens, prompt_tokens
from gateway.engines.upstream import UpstreamLlm
from gateway.stages.body import counted, send_all
from gateway.stages.context import CONTEXT, Context, read_body
from gateway.stages.outlet import Outgoing
from gateway.stats import Call
from gateway.wire.openai_chat import (
    SSE_DONE,
    ChatDelta,
    ChatRequest,
    ChunkEncoder,
    FinishReason,
    TextDelta,
    ToolCallDelta,
    Usage,
    decode_request,
)

_SSE_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


class _Answer:
    """An engine's deltas, counted, and cut off at the request's `max_tokens`."""

    def __init__(self, engine: ChatEngine, request: ChatRequest) -> None:
        self._engine = engine
        self._request = request
        self._written = 0
        self.reason: FinishReason = "stop"

    async def deltas(self) -> AsyncIterator[ChatDelta]:
        limit = self._request.max_tokens
        async for delta in self._engine.reply(self._request):
            if isinstance(delta, ToolCallDelta):
                self.reason = "tool_calls"
                self._written += count_tokens(delta.arguments)
            elif limit is not None and self._written >= limit:
                self.reason = "length"
                return
            else:
                self._written += count_tokens(delta.text)
            yield delta

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=prompt_tokens(self._request.messages), completion_tokens=self._written
        )


def _encoder(request: ChatRequest) -> ChunkEncoder:
    return ChunkEncoder(
        request_id=f"chatcmpl-{uuid.uuid4().hex}",
        created_s=int(time.time()),
        model=request.model,
    )


async def _events(request: ChatRequest, answer: _Answer) -> AsyncGenerator[Outgoing]:
    encoder = _encoder(request)
    words = 0
    begun = False
    async for delta in answer.deltas():
        if not begun:
            begun = True
            yield Outgoing(data=encoder.role())
        words += len(delta.text.split()) if isinstance(delta, TextDelta) else 0
        yield Outgoing(
            data=encoder.delta(delta),
            words=words,
            in_arguments=isinstance(delta, ToolCallDelta) and bool(delta.arguments),
        )
    yield Outgoing(data=encoder.finish(answer.reason), words=words)
    if request.include_usage:
        yield Outgoing(data=encoder.usage(answer.usage()), words=words)
    yield Outgoing(data=SSE_DONE, words=words)


async def _whole(request: ChatRequest, engine: ChatEngine) -> web.StreamResponse:
    answer = _Answer(engine, request)
    deltas = [delta async for delta in answer.deltas()]
    return web.json_response(
        _encoder(request).completion(deltas, reason=answer.reason, usage=answer.usage())
    )


async def _send_on(
    http_request: web.Request, request: ChatRequest, upstream: UpstreamLlm, call: Call
) -> web.StreamResponse:
    async with upstream.request(request) as answer:
        response = web.StreamResponse(
            headers={"Content-Type": answer.content_type, "Cache-Control": "no-cache"}
        )
        pieces = (Outgoing(data=data) async for data in answer.data())
        return await send_all(http_request, response, pieces, call)


async def _answer(
    http_request: web.Request, request: ChatRequest, context: Context, call: Call
) -> web.StreamResponse:
    engine = await context.engines.chat(request.model)
    if engine is None:
        assert context.engines.upstream is not None  # None stands for the upstream
        return await _send_on(http_request, request, context.engines.upstream, call)
    if not request.stream:
        return await _whole(request, engine)
    response = web.StreamResponse(headers=_SSE_HEADERS)
    events = _events(request, _Answer(engine, request))
    return await send_all(http_request, response, events, call)


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/chat/completions`."""
    context = request.app[CONTEXT]
    limits = context.config.limits
    body = await read_body(request, max_bytes=limits.max_chat_body_bytes)
    decoded = decode_request(body, limits=limits)
    with context.stats.call("llm") as call, counted(call):
        return await _answer(request, decoded, context, call)
