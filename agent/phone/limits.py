"""Ends calls in which nobody speaks, and calls that last too long."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from livekit.agents import AgentSession, UserStateChangedEvent
from livekit.agents.types import NOT_GIVEN

from ..speech.phrases import PhraseCache, frames_of
from .settings import PhoneSettings

logger = logging.getLogger("parley.phone")

LAST_WORDS_S = 15.0
"""How long the last words may take; then the agent hangs up without them."""


class Limits:
    """Watches one call's silence and duration.

    The framework says when nobody has spoken for `silence_s` (its `user_away_timeout`).

    Args:
        session: The call's session.
        settings: Limits and what is said.
    """

    def __init__(self, *, session: AgentSession[Any], settings: PhoneSettings) -> None:
        self._session = session
        self._settings = settings
        self._patient_until = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._duration: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._session.on("user_state_changed", self._on_user_state)
        loop = asyncio.get_running_loop()
        self._duration = loop.call_later(self._settings.max_call_s, self._time_is_up)

    def stop(self) -> None:
        """Stop watching."""
        if self._duration:
            self._session.off("user_state_changed", self._on_user_state)
        for timer in (self._silence, self._duration):
            if timer:
                timer.cancel()
        self._silence = self._duration = None

    async def aclose(self) -> None:
        """Stop, and leave nothing running."""
        self.stop()
        if self._ending:
            self._ending.cancel()
            await asyncio.gather(self._ending, return_exceptions=True)

    def be_patient(self, seconds: float) -> None:
        """Ask nothing during this silence: the caller has said that they need a moment."""
        self._patient_until = asyncio.get_running_loop().time() + seconds

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if self._silence:
            self._silence.cancel()
            self._silence = None
        if event.new_state != "away":
            return
        loop = asyncio.get_running_loop()
        if (patience := self._patient_until - loop.time()) > 0:
            self._silence = loop.call_later(patience, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        logger.info("silence")
        try:
            _ = self._session.say(self._settings.still_there, add_to_chat_ctx=False)
        except RuntimeError:  # the session is closing
            return
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(self._settings.silence_hang_up_s, self._nobody_there)

    def _nobody_there(self) -> None:
        self._end("silence", self._settings.nobody_there)

    def _time_is_up(self) -> None:
        self._end("longest call", self._settings.time_is_up)

    def _end(self, why: str, words: str) -> None:
        if self._ending is None:
            logger.info("ending the call", extra={"why": why})
            self._ending = asyncio.create_task(hang_up_with(self._session, words))


async def hang_up_with(
    session: AgentSession[Any], words: str, phrases: PhraseCache | None = None
) -> None:
    """Say the last words, from memory if they are there, whoever else speaks; and hang up."""
    kept = phrases.get(words) if phrases else None
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            await session.interrupt(force=True)
            await session.say(
                words,
                audio=frames_of(kept) if kept else NOT_GIVEN,
                allow_interruptions=False,
                add_to_chat_ctx=False,
            ).wait_for_playout()
    except (TimeoutError, RuntimeError) as e:
        logger.warning("last words were not said", extra={"error": type(e).__name__})
    session.shutdown(drain=False)
