"""A language model that says what a test wants: an OpenAI-compatible server behind the gateway."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"


@dataclass
class ScriptedModel:
    """Answers with sentences, one every `pace_s` seconds.

    It goes by what was asked and not by counting: a reply is also written ahead of the turn's end,
    and written again when the transcript changes.

    Attributes:
        replies: What to say to a caller whose last words hold the key; "" holds for all others.
        pace_s: Seconds between two sentences.
        requests: The messages of each request, in order.
        abandoned: Requests whose client left before the end.
    """

    replies: dict[str, list[str]]
    pace_s: float = 0.5
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    abandoned: int = 0
    _runner: web.AppRunner | None = None
    url: str = ""

    async def __aenter__(self) -> ScriptedModel:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a real server has sockets
        self.url = f"http://{HOST}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body["messages"])
        asked = [str(m["content"]) for m in body["messages"] if m["role"] == "user"][-1].lower()
        sentences = next(reply for key, reply in self.replies.items() if key in asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()  # no connection outlives its test
        await response.prepare(request)
        try:
            await self._speak(response, body["model"], sentences)
        except ConnectionError:
            self.abandoned += 1
        return response

    async def _speak(self, response: web.StreamResponse, model: str, sentences: list[str]) -> None:
        for sentence in sentences:
            await response.write(_event(model, {"content": f"{sentence} "}, None))
            await asyncio.sleep(self.pace_s)
        await response.write(_event(model, {}, "stop"))
        await response.write(b"data: [DONE]\n\n")


def _event(model: str, delta: dict[str, str], finish_reason: str | None) -> bytes:
    chunk = {
        "id": "scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()
