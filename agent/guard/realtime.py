"""Guards a call with a realtime model: its failures are told, not sat through in silence."""

from __future__ import annotations

import asyncio

from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)

from ..observe.events import GuardAction, guard_acted
from .hearing import HearingGuard


class RealtimeGuard(HearingGuard):
    """Says an apology for a reply that a realtime model owes, and goodbye when it will owe more."""

    _owed = False
    """Whether the caller has spoken and has had no reply since."""

    def start(self) -> None:
        """Begin to watch."""
        super().start()
        self._session.on("conversation_item_added", self._on_item)

    async def aclose(self) -> None:
        """Stop watching."""
        self._session.off("conversation_item_added", self._on_item)
        await super().aclose()

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if not isinstance(error, llm.RealtimeModelError):
            return  # the ears beside it: captions are missing, and the call goes on
        final = not error.recoverable
        # The framework closes the session at the first final error, without a word; an error that
        # is marked as recoverable is left to the application.
        error.recoverable = True
        self._fail(final=final)

    def _fail(self, *, final: bool) -> None:
        self._failures += self._owed
        if final or self._failures >= self._settings.max_failed_turns:
            self._goodbye = self._goodbye or asyncio.create_task(self._give_up("realtime"))
        elif self._owed:
            self._owed = False
            speaking = self._session.agent_state == "speaking"
            action = GuardAction.BROKE_OFF if speaking else GuardAction.APOLOGY
            guard_acted(action, stage="realtime")
            _ = self._say(self._settings.broke_off if speaking else self._settings.apology)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        """Note that a reply is owed; whether words came of it is the model's own affair."""
        if event.new_state == "speaking":
            self._owed = True
            self._stop_waiting()

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        """That the agent thinks or speaks is no reply: its item is."""

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        """There were words: a model that says nothing of its own trouble has to answer them."""
        if event.is_final:
            self._stop_waiting()
            self._patience = asyncio.get_running_loop().call_later(
                self._settings.turn_deadline_s, self._reply_is_late
            )

    def _reply_is_late(self) -> None:
        self._patience = None
        if self._owed and self._session.agent_state != "speaking":
            self._fail(final=False)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "assistant":
            self._owed = False
            self._failures = 0
            self._stop_waiting()
