"""A call with one model that hears, thinks and speaks, instead of the three chains.

The wire form of GateFlow's pipelines has no tools and no text, so this agent has none either, and
says so. What it says by itself (greeting, farewell, apologies) comes from the voice of the chains.
"""

from __future__ import annotations

import asyncio
import logging

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    EndpointingOptions,
    InterruptionOptions,
    TurnHandlingOptions,
    UserInputTranscribedEvent,
    inference,
    llm,
    room_io,
)
from livekit.agents.types import NOT_GIVEN

from .assistant import CallState
from .chain.tts import ChainTTS
from .config import ConfigError, Settings
from .goodbye import is_goodbye
from .guard.realtime import RealtimeGuard
from .guard.reply import ReplyGuard
from .observe.waterfall import Waterfall
from .routes import RealtimeRoute
from .speech.phrases import PhraseCache, frames_of
from .wording import WordingAgent

logger = logging.getLogger("parley.realtime")

INSTRUCTIONS = """\
You are Parley, a friendly voice assistant on a phone-like call. Answer in one or two short,
conversational sentences, without markdown, lists, emoji or symbols. You cannot look anything up,
and you cannot order or book anything: say so when you are asked to."""

CANNOT_READ = "On this line I can only hear you. Please say it instead."

_FAREWELL_AFTER_S = 5.0
"""How long the model's own answer to a goodbye is waited for."""


def require_usable(route: RealtimeRoute, settings: Settings) -> None:
    """Check that a route can do what the settings want.

    Raises:
        ConfigError: It cannot; the message says which setting can.
    """
    if route.transport == "websocket" and not settings.allow_interrupt:
        raise ConfigError(
            f"AGENT_ALLOW_INTERRUPT: {route} decides by itself who may interrupt. Use the "
            f"transport pipeline: AGENT_REALTIME={route.provider}:{route.template}:pipeline."
        )


def turn_handling(settings: Settings) -> TurnHandlingOptions:
    """Who ends turns and who interrupts; nothing of it may leave the machine."""
    turn, route = settings.turn, settings.realtime_route
    if route and route.transport == "websocket":
        return TurnHandlingOptions(
            turn_detection="realtime_llm", interruption=InterruptionOptions(mode="vad")
        )
    return TurnHandlingOptions(
        turn_detection=inference.TurnDetector(version="v1-mini") if turn.turn_model else "vad",
        endpointing=EndpointingOptions(
            mode="fixed", min_delay=turn.likely_s, max_delay=turn.unfinished_s
        ),
        interruption=InterruptionOptions(
            enabled=settings.allow_interrupt,
            mode="vad",
            min_duration=turn.min_interruption_s,
            false_interruption_timeout=settings.false_interruption_timeout_s,
        ),
    )


class RealtimeAssistant(WordingAgent):
    """Parley without tools: greets, lets the model talk, and says goodbye.

    Args:
        settings: The worker's settings.
        phrases: Fixed phrases as audio.
        waterfall: Follows the session; closed with this agent.
    """

    def __init__(
        self, *, settings: Settings, phrases: PhraseCache, waterfall: Waterfall | None = None
    ) -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self._settings = settings
        self._phrases = phrases
        self._waterfall = waterfall
        self._guard: RealtimeGuard | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def on_enter(self) -> None:
        """Greet the caller, and from now on listen for goodbyes."""
        self.session.on("conversation_item_added", self._on_item)
        self.session.on("user_input_transcribed", self._on_transcript)
        reply = ReplyGuard(settings=self._settings.guard, phrases=self._phrases)
        self._guard = RealtimeGuard(
            session=self.session, settings=self._settings.guard, reply=reply
        )
        self._guard.start()
        if greeting := self._settings.realtime_greeting:
            kept = self._phrases.get(greeting)
            audio = frames_of(kept) if kept else NOT_GIVEN
            await self.session.say(greeting, audio=audio).wait_for_playout()
        if isinstance(chain := self.session.tts, ChainTTS):
            voice = chain.primary  # what is kept is kept for all calls
            self._phrases.render_missing(voice, self._settings.guard.phrases)
            self._phrases.render_missing(voice, [greeting, self._settings.farewell])

    async def on_exit(self) -> None:
        """Stop what runs in the background for this agent."""
        self.session.off("conversation_item_added", self._on_item)
        self.session.off("user_input_transcribed", self._on_transcript)
        self._stay()
        if self._guard:
            await self._guard.aclose()
        await self._phrases.aclose()
        if self._waterfall:
            await self._waterfall.aclose()

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        """What ears beside the model heard becomes a message, as what the model tells is one."""
        if event.is_final and event.item_id is None and event.transcript.strip():
            message = llm.ChatMessage(role="user", content=[event.transcript])
            self._chat_ctx.insert(message)
            self.session.emit("conversation_item_added", ConversationItemAddedEvent(item=message))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        """Hang up once a goodbye was answered; a caller who speaks on stays in the call."""
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        if item.role == "user":
            self._stay()
            if is_goodbye(item.text_content or ""):
                self._leaving = asyncio.create_task(self._say_goodbye())
        elif item.role == "assistant" and self._leaving and not item.interrupted:
            logger.info("hanging up", extra={"caller_is_leaving": True})
            self._stay()
            self.session.shutdown()

    def _stay(self) -> None:
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None

    async def _say_goodbye(self) -> None:
        """The farewell, unless the model answers first."""
        await asyncio.sleep(_FAREWELL_AFTER_S)
        _ = self.session.say(self._settings.farewell)


async def say_that_text_is_not_read(
    session: AgentSession[CallState], event: room_io.TextInputEvent
) -> None:
    """Answer a typed message: the wire form has no place for it."""
    await session.interrupt(force=True)
    _ = session.say(CANNOT_READ)
