"""Talk to the agent by typing: no media server, no sound, only the language model's route."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TextIO

from livekit.agents import AgentSession
from livekit.agents.utils import shortuuid
from livekit.agents.voice.run_result import RunResult

from .assistant import Assistant, CallState
from .config import Settings
from .providers import build_llm
from .speech.phrases import PhraseCache
from .tools.store import Store
from .turns import TurnDetector

_PROMPT = "you: "


async def converse(settings: Settings, *, source: TextIO, sink: TextIO) -> None:
    """Hold a conversation line by line, until the end of `source`, or a goodbye.

    Args:
        settings: The agent's settings.
        source: The caller's lines.
        sink: Takes what the agent says and does.
    """
    model = build_llm(settings)
    state = CallState(
        call_id=shortuuid("console-"),
        store=Store(settings.store_path),
        customer_email=settings.customer_email,
    )
    phrases = PhraseCache(folder=settings.phrases_path, voice=settings.tts)
    turns = TurnDetector(settings=settings.turn)
    assistant = Assistant(settings=settings, model=model, phrases=phrases, turns=turns)
    typed = AgentSession[CallState](
        llm=model, vad=None, turn_handling={"turn_detection": None}, userdata=state
    )
    async with model, typed as session:
        _show(await session.start(assistant, capture_run=True), sink)
        async for line in _lines(source, sink):
            _show(await session.run(user_input=line), sink)
            if state.ending:
                break


async def _lines(source: TextIO, sink: TextIO) -> AsyncIterator[str]:
    while True:
        sink.write(_PROMPT)
        sink.flush()
        line = await asyncio.to_thread(source.readline)
        if not line:
            return
        if line.strip():
            yield line.strip()


def _show(run: RunResult[None], sink: TextIO) -> None:
    for event in run.events:
        if event.type == "function_call":
            sink.write(f"       ({event.item.name} {event.item.arguments})\n")
        elif event.type == "message" and event.item.role == "assistant":
            sink.write(f"agent: {event.item.text_content}\n")
    sink.flush()


def run(settings: Settings) -> None:
    """Talk on this terminal until Ctrl-C, Ctrl-D or a goodbye."""
    try:
        asyncio.run(converse(settings, source=sys.stdin, sink=sys.stdout))
    except KeyboardInterrupt:
        sys.stdout.write("\n")
