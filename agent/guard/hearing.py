"""Guards the ears: the caller is told when it is not heard, instead of talking into silence."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    stt,
)
from livekit.agents.voice import SpeechHandle

from ..observe.events import GuardAction, guard_acted
from ..speech.phrases import frames_of
from .reply import ReplyGuard
from .settings import GuardSettings

logger = logging.getLogger("parley.guard")

_SAID_AGAIN_AFTER_S = 5.0
"""The least time between two "cannot hear you"."""

_LEAST_SPEECH_S = 0.4
"""Sound shorter than this is taken for a cough."""

_MOST_ASKED = 3
"""Times that a caller of whom no words come is asked for them: it may be a radio that speaks."""

_ANSWERS = ("thinking", "speaking")
"""States of an agent that the caller need not wonder about."""

_GIVE_UP_TIMEOUT_S = 15.0


class HearingGuard:
    """Watches the session for speech that was not transcribed.

    Args:
        session: The call's session.
        settings: Phrases and limits.
        reply: Has the phrases as audio.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        session: AgentSession[Any],
        settings: GuardSettings,
        reply: ReplyGuard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._settings = settings
        self._reply = reply
        self._clock = clock
        self._failures = 0
        self._said_at = float("-inf")
        self._asking: SpeechHandle | None = None
        self._speaking_since: float | None = None
        self._heard_at = float("-inf")
        self._unheard = False  # the caller has spoken, and no final came since it began
        self._asked = 0  # times since the last final
        self._patience: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._session.on("error", self._on_error)
        self._session.on("user_input_transcribed", self._on_transcript)
        self._session.on("user_state_changed", self._on_user_state)
        self._session.on("agent_state_changed", self._on_agent_state)

    async def aclose(self) -> None:
        """Stop watching."""
        self._session.off("error", self._on_error)
        self._session.off("user_input_transcribed", self._on_transcript)
        self._session.off("user_state_changed", self._on_user_state)
        self._session.off("agent_state_changed", self._on_agent_state)
        self._stop_waiting()
        if self._goodbye:
            await asyncio.wait([self._goodbye], timeout=_GIVE_UP_TIMEOUT_S)

    def speech_lost(self, seconds: float) -> None:
        """Speech fell out of what can be sent again after an outage; ask for it once more."""
        logger.warning("speech lost", extra={"seconds": round(seconds, 1)})
        self._ask_again()

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if not isinstance(error, stt.STTError):
            return
        if error.recoverable:
            return  # the plugin is at it, and what was said may come yet
        self._failures += 1
        logger.warning("not hearing the caller", extra={"failures": self._failures})
        if self._failures >= self._settings.max_failed_turns:
            self._goodbye = self._goodbye or asyncio.create_task(self._give_up("stt"))
        else:
            self._ask_again()

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self._failures = 0
            self._unheard, self._asked = False, 0
            self._heard_at = self._clock()
            self._stop_waiting()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        """The voice activity detector hears the caller whatever becomes of the words."""
        if event.new_state == "speaking":
            self._stop_waiting()
            # sounds during a reply are assent or a barge-in, and others look after those
            listened = self._session.agent_state != "speaking"
            self._speaking_since = self._clock() if listened else None
        elif (since := self._speaking_since) is not None:
            self._speaking_since = None
            spoke = self._clock() - since >= _LEAST_SPEECH_S
            self._unheard = self._unheard or (spoke and self._heard_at < since)
            self._wait_for_words()

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        """An agent that answers has understood, as a realtime model does without a transcript."""
        if event.new_state in _ANSWERS:
            self._unheard = False
            self._stop_waiting()

    def _wait_for_words(self) -> None:
        """Ask again unless words come in time, where the caller has spoken and waits."""
        waits = self._unheard and self._speaking_since is None and self._asked < _MOST_ASKED
        if waits and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(
                self._settings.no_words_s, self._words_are_late
            )

    def _words_are_late(self) -> None:
        self._patience = None
        self._unheard = False
        self._asked += 1
        self._ask_again()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _ask_again(self) -> None:
        if self._clock() - self._said_at >= _SAID_AGAIN_AFTER_S:
            self._said_at = self._clock()
            guard_acted(GuardAction.CANNOT_HEAR, stage="stt")
            self._asking = self._say(self._settings.cannot_hear)

    async def _give_up(self, stage: str) -> None:
        guard_acted(GuardAction.GIVE_UP, stage=stage)
        speech = self._say(self._settings.give_up)
        try:
            async with asyncio.timeout(_GIVE_UP_TIMEOUT_S):
                await speech.wait_for_playout()
        except TimeoutError:
            logger.warning("last words timed out")
        self._session.shutdown()

    def _say(self, text: str) -> SpeechHandle:
        return self._session.say(
            text, audio=frames_of(self._reply.phrase(text)), add_to_chat_ctx=False
        )
