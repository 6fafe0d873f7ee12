"""A language model that says what a test wants: an OpenAI-compatible server behind the gateway."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.model_server import ModelServer


@dataclass
class ScriptedModel(ModelServer):
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

    async def answer(self, body: bytes, response: web.StreamResponse) -> None:
        """Say the sentences at their pace."""
        asked = json.loads(body)
        messages = asked["messages"]
        self.requests.append(messages)
        said = [str(m["content"]) for m in messages if m["role"] == "user"][-1].lower()
        sentences = next(reply for key, reply in self.replies.items() if key in said)
        try:
            await self._speak(response, asked["model"], sentences)
        except ConnectionError:
            self.abandoned += 1

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
