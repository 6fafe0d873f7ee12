"""A language model for telephone tests: calls tools as told, and is the local brain otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway.config import Limits
from gateway.engines.brain.policy import CallTool, Say, decide
from gateway.wire.openai_chat import (
    ChatRequest,
    ChunkEncoder,
    TextDelta,
    ToolCallDelta,
    decode_request,
)
from gateway.wire.strict_json import dumps

HOST = "127.0.0.1"
SCREENING_TOOL, MACHINE = "save_prediction", "machine-vm"


@dataclass
class Mind:
    """An OpenAI-compatible server.

    It goes by what was asked and not by counting: a reply is also written ahead of the turn's end,
    and written again when the transcript changes.

    Attributes:
        calls: What to do when the caller's last words hold the key: a hostile model does anything.
        requests: What it was asked, in order.
    """

    calls: dict[str, CallTool] = field(default_factory=dict)
    requests: list[ChatRequest] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
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

    def heard(self, since: int) -> str:
        """Everything that callers said in the newest conversation that began after `since`."""
        messages = self.requests[-1].messages if len(self.requests) > since else ()
        return " ".join(m.text for m in messages if m.role == "user")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = decode_request(await request.read(), limits=Limits())
        self.requests.append(asked)
        action = self._decide(asked)
        encoder = ChunkEncoder(request_id="mind", created_s=0, model=asked.model)
        if isinstance(action, Say):
            parts = [encoder.delta(TextDelta(text=action.text)), encoder.finish("stop")]
        else:
            call = ToolCallDelta(
                index=0, call_id="call_1", name=action.name, arguments=dumps(action.arguments)
            )
            parts = [encoder.delta(call), encoder.finish("tool_calls")]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()  # no connection outlives its test
        await response.prepare(request)
        await response.write(b"".join([*parts, b"data: [DONE]\n\n"]))
        return response

    def _decide(self, asked: ChatRequest) -> Say | CallTool:
        if SCREENING_TOOL in asked.tools:
            machine = "message" in asked.messages[-1].text.lower()
            return CallTool(SCREENING_TOOL, {"label": MACHINE if machine else "human"})
        last = asked.messages[-1]
        if last.role == "user":
            said = last.text.lower()
            for words, call in self.calls.items():
                if words in said:
                    return call
        return decide(asked)
