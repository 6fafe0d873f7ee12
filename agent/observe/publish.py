"""What the page shows beside sound and captions, sent to the room as small text streams."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    SessionUsageUpdatedEvent,
    llm,
)
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted, ToolExecutionUpdatedEvent

from ..config import Price
from ..topics import COST_TOPIC, CUT_TOPIC, TOOL_TOPIC, TURN_TOPIC
from .cost import cost_of
from .hedges import HedgeLedger
from .record import TurnRecord

logger = logging.getLogger("parley.publish")

_QUEUED = 64
"""Messages that may wait to be sent; the page misses what is beyond, the call does not notice."""
_SEND_TIMEOUT_S = 5.0
_TOOL_STATES = {"done": "done", "error": "failed", "cancelled": "failed"}


class Written(Protocol):
    """An agent that keeps the words of its newest reply."""

    @property
    def written(self) -> str:
        """All that was written of it, heard or not."""


class Publisher:
    """Sends turns, tools, cost and cut-off words of one call to everybody in its room.

    Args:
        room: The call's room.
        session: The call's session.
        prices: By model name.
        reply: Knows the whole wording of the newest reply.
        hedges: What requests cost that lost a race; None: there are none.
    """

    def __init__(
        self,
        *,
        room: rtc.Room,
        session: AgentSession[Any],
        prices: Mapping[str, Price],
        reply: Written,
        hedges: HedgeLedger | None = None,
    ) -> None:
        self._room = room
        self._session = session
        self._prices = prices
        self._reply = reply
        self._hedges = hedges
        self._tools: dict[str, str] = {}
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(maxsize=_QUEUED)
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the session."""
        self._session.on("tool_execution_updated", self._on_tool)
        self._session.on("session_usage_updated", self._on_usage)
        self._session.on("conversation_item_added", self._on_item)
        self._sender = asyncio.create_task(self._send_all(), name="publisher")

    async def aclose(self) -> None:
        """Stop; what is still queued is dropped."""
        self._session.off("tool_execution_updated", self._on_tool)
        self._session.off("session_usage_updated", self._on_usage)
        self._session.off("conversation_item_added", self._on_item)
        if self._sender:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    def turn(self, record: TurnRecord) -> None:
        """Send a turn record."""
        self._put(TURN_TOPIC, record.as_dict())

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            name = self._tools[update.function_call.call_id] = update.function_call.name
            self._put(TOOL_TOPIC, {"name": name, "state": "started"})
        elif isinstance(update, ToolCallEnded) and update.call_id in self._tools:
            name = self._tools.pop(update.call_id)
            self._put(TOOL_TOPIC, {"name": name, "state": _TOOL_STATES[update.status]})

    def _on_usage(self, event: SessionUsageUpdatedEvent) -> None:
        cost = cost_of(event.usage.model_usage, self._prices, hedges=self._hedges)
        self._put(COST_TOPIC, cost.as_dict())

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, llm.ChatMessage) and item.role == "assistant" and item.interrupted:
            said = item.text_content or ""
            self._put(CUT_TOPIC, {"said": said, "cut": unsaid(self._reply.written, said)})

    def _put(self, topic: str, message: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait((topic, json.dumps(message)))
        except asyncio.QueueFull:
            logger.warning("page is not told", extra={"topic": topic})

    async def _send_all(self) -> None:
        while True:
            topic, text = await self._queue.get()
            if not self._room.isconnected():
                continue
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self._room.local_participant.send_text(text, topic=topic)
            except Exception as e:  # whatever the SDK raises: the call is worth more than its page
                error = type(e).__name__
                logger.warning("page is not told", extra={"topic": topic, "error": error})


def unsaid(written: str, said: str) -> str:
    """The rest of `written` once as many words as `said` has were heard."""
    words = written.split()
    return " ".join(words[len(said.split()) :])
