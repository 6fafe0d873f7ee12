"""`sim/llm`: the scripted answer, after a set time and at a set pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from gateway.config import SimConfig
from gateway.engines.sim.script import ScriptedReply, SimScript
from gateway.wire.openai_chat import ChatDelta, ChatRequest, TextDelta, ToolCallDelta

_TOKEN = re.compile(r"\s*\S{1,5}")
"""Pieces about as long as real tokens: a short word, or part of a long one, with its space."""


class SimLlm:
    """`gateway.engines.base.ChatEngine` by script."""

    def __init__(self, config: SimConfig, *, script: SimScript) -> None:
        self._config = config
        self._script = script

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Return the scripted answer to the last thing the user said."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._config.llm_first_token_ms / 1000
        for delta in self._deltas(self._answer(request)):
            # Due times are absolute: the pace does not suffer from late wake-ups.
            await asyncio.sleep(due_s - loop.time())
            yield delta
            due_s += 1 / self._config.llm_tokens_per_s

    def _answer(self, request: ChatRequest) -> ScriptedReply:
        if request.messages[-1].role == "tool":
            return self._script.reply
        heard = next((m.text for m in reversed(request.messages) if m.role == "user"), "")
        reply = self._script.reply_to(heard)
        # A scripted call of a tool that is not on offer would be a lie about the protocol.
        return self._script.reply if reply.tool and reply.tool not in request.tools else reply

    @staticmethod
    def _deltas(reply: ScriptedReply) -> list[ChatDelta]:
        if reply.tool is None:
            return [TextDelta(text=token) for token in _TOKEN.findall(reply.text)]
        first = ToolCallDelta(index=0, call_id=f"call_{reply.tool}", name=reply.tool)
        size = 8
        return [
            first,
            *(
                ToolCallDelta(index=0, arguments=reply.arguments[start : start + size])
                for start in range(0, len(reply.arguments), size)
            ),
        ]
