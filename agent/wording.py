"""Agents that keep the whole wording of their newest reply: the page shows what was cut off."""

from __future__ import annotations

from collections.abc import AsyncIterable

from livekit.agents import Agent, ModelSettings
from livekit.agents.types import TimedString


class WordingAgent(Agent):
    """An agent whose newest reply can be read as it was written, heard or not."""

    written = ""
    """The newest reply."""

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncIterable[str | TimedString]:
        """Pass a reply's text on, and keep it."""
        self.written = ""
        async for delta in text:
            self.written += delta
            yield delta
