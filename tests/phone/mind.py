"""A language model for telephone tests: calls tools as told, and is the local brain otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

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
from tests.model_server import ModelServer

SCREENING_TOOL, MACHINE = "save_prediction", "machine-vm"


@dataclass
class Mind(ModelServer):
    """Thinks as the local brain does, unless it was told what to do.

    It goes by what was asked and not by counting: a reply is also written ahead of the turn's end,
    and written again when the transcript changes.

    Attributes:
        calls: What to do when the caller's last words hold the key: a hostile model does anything.
        requests: What it was asked, in order.
    """

    calls: dict[str, CallTool] = field(default_factory=dict)
    requests: list[ChatRequest] = field(default_factory=list)

    def heard(self, since: int) -> str:
        """Everything that callers said in the newest conversation that began after `since`."""
        messages = self.requests[-1].messages if len(self.requests) > since else ()
        return " ".join(m.text for m in messages if m.role == "user")

    async def answer(self, body: bytes, response: web.StreamResponse) -> None:
        """Do as decided, at once."""
        asked = decode_request(body, limits=Limits())
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
        await response.write(b"".join([*parts, b"data: [DONE]\n\n"]))

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
