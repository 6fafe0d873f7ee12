"""History: the model sees the last turns in full and a running summary of everything before.

The session keeps the whole conversation; only the copy that a request carries is cut. Changing the
session's own history instead would throw away every reply that was generated ahead of the turn's
end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from livekit.agents import llm
from livekit.agents.utils import aio

logger = logging.getLogger("parley.history")

_SUMMARY_ID = "parley_history_summary"
_SUMMARY_TIMEOUT_S = 20.0


def window(chat_ctx: llm.ChatContext, *, max_items: int, summary: str) -> llm.ChatContext:
    """A copy of the context with its instructions, the summary and the last `max_items` items."""
    if len(chat_ctx.items) <= max_items:
        return chat_ctx
    cut = chat_ctx.copy().truncate(max_items=max_items)
    if not summary:
        return cut
    instructions = [item for item in cut.items if _is_instructions(item)]
    conversation = [item for item in cut.items if not _is_instructions(item)]
    note = llm.ChatMessage(
        id=_SUMMARY_ID,
        role="system",
        content=[f"Summary of the conversation so far: {summary}"],
        created_at=conversation[0].created_at - 1e-6 if conversation else 0.0,
    )
    return llm.ChatContext([*instructions, note, *conversation])


def _is_instructions(item: llm.ChatItem) -> bool:
    return item.type == "message" and item.role in ("system", "developer")


class RunningSummary:
    """Keeps a summary of the items that have left the window, written between turns.

    Args:
        model: The model that writes it.
        max_items: Size of the window in items. A new summary is written each time half a window of
            items has left it, so that its cost grows with the call, not with its square.
    """

    def __init__(self, *, model: llm.LLM[Any], max_items: int) -> None:
        self._model = model
        self._max_items = max_items
        self._covered = 0
        self._task: asyncio.Task[None] | None = None
        self.text = ""

    def observe(self, chat_ctx: llm.ChatContext) -> None:
        """Start a new summary when enough has left the window; never more than one at a time."""
        items = [item for item in chat_ctx.messages() if not _is_instructions(item)]
        left = len(items) - self._max_items
        if left - self._covered < self._max_items // 2 or (self._task and not self._task.done()):
            return
        self._task = asyncio.create_task(self._update(items[self._covered : left], left))

    async def _update(self, items: Sequence[llm.ChatMessage], covered: int) -> None:
        lines = [f"{i.role}: {i.text_content}" for i in items]
        request = llm.ChatContext.empty()
        request.add_message(
            role="system",
            content="Summarise this conversation in at most three plain sentences. Keep names, "
            "e-mail addresses, order numbers, dates and anything still open. Leave out small talk.",
        )
        so_far = [f"Summary so far: {self.text}"] if self.text else []
        request.add_message(role="user", content="\n".join([*so_far, *lines]))
        try:
            async with asyncio.timeout(_SUMMARY_TIMEOUT_S):
                response = await self._model.chat(chat_ctx=request).collect()
        except Exception as e:
            # The window works without a summary: the call goes on, and the next turn tries again.
            logger.warning("summary failed", extra={"error": type(e).__name__})
            return
        if text := response.text.strip():
            self.text, self._covered = text, covered

    async def aclose(self) -> None:
        """Stop a summary in progress."""
        if self._task:
            await aio.cancel_and_wait(self._task)
