"""`local/brain` as a chat engine: decides once, then streams at a set pace."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator

from gateway.config import BrainConfig
from gateway.engines.brain.policy import CallTool, Say, decide
from gateway.wire.openai_chat import ChatDelta, ChatRequest, TextDelta, ToolCallDelta
from gateway.wire.strict_json import dumps

_WORD = re.compile(r"\s*\S+")
_ARGUMENT_CHARS = 8
"""Characters of a tool call's arguments in one delta: several deltas a call, as hosted models
send."""


class BrainEngine:
    """`gateway.engines.base.ChatEngine` by rules; it keeps nothing between requests."""

    def __init__(self, config: BrainConfig) -> None:
        self._config = config

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Return the answer, a few words a delta."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._config.first_token_ms / 1000
        for delta in self._deltas(request):
            await asyncio.sleep(due_s - loop.time())
            yield delta
            due_s += self._config.words_per_delta / self._config.words_per_s

    def _deltas(self, request: ChatRequest) -> Iterator[ChatDelta]:
        action = decide(request)
        if isinstance(action, Say):
            words = _WORD.findall(action.text)
            step = self._config.words_per_delta
            for start in range(0, len(words), step):
                yield TextDelta(text="".join(words[start : start + step]))
            return
        yield from self._call(action)

    @staticmethod
    def _call(action: CallTool) -> Iterator[ChatDelta]:
        yield ToolCallDelta(index=0, call_id=f"call_{uuid.uuid4().hex[:24]}", name=action.name)
        arguments = dumps(action.arguments)
        for start in range(0, len(arguments), _ARGUMENT_CHARS):
            yield ToolCallDelta(index=0, arguments=arguments[start : start + _ARGUMENT_CHARS])
