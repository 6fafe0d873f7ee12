"""Agents whose words are shown as they are heard, and kept as they were written."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from livekit.agents import Agent, ModelSettings
from livekit.agents.types import TimedString

from .speech.captions import Captions, playout_of


class WordingAgent(Agent):
    """An agent whose newest reply can be read as it was written, heard or not.

    Args:
        instructions: What the model is told.
    """

    def __init__(self, *, instructions: str) -> None:
        super().__init__(instructions=instructions)
        self.written = ""
        """The newest reply."""
        self._captions = Captions()

    def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncIterable[str | TimedString]:
        """Pass a reply's text on as it is heard, and keep all of it."""
        self.written = ""
        kept = self._kept(text)
        playout = playout_of(self.session.output.audio)
        return self._captions.follow(kept, playout) if playout else kept

    async def _kept(self, text: AsyncIterable[str]) -> AsyncIterator[str]:
        async for delta in text:
            self.written += delta
            yield delta
