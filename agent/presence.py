"""Callers who leave: one whose page may come back is waited for, any other has ended the call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS
from livekit.agents.voice.room_io.types import DEFAULT_CLOSE_ON_DISCONNECT_REASONS

from .ending import Ending
from .topics import HANG_UP_METHOD, RETURNS_ATTRIBUTE

logger = logging.getLogger("parley.presence")


class Presence:
    """Keeps the call while its caller is away for a moment.

    The framework's own `close_on_disconnect` must be off: it takes a lost connection that the
    browser's client restores for a hang-up, and the agent would be silent in a live room.

    Args:
        room: The call's room.
        session: The call's session.
        end: Ends the call.
        wait_s: Seconds that a caller has to come back.
        welcome_back: Said to one who did; empty for nothing.
    """

    def __init__(
        self,
        *,
        room: rtc.Room,
        session: AgentSession[Any],
        end: Callable[[Ending], None],
        wait_s: float,
        welcome_back: str,
    ) -> None:
        self._room = room
        self._session = session
        self._end = end
        self._wait_s = wait_s
        self._welcome_back = welcome_back
        self._deadline: asyncio.TimerHandle | None = None
        self._hung_up = False
        self._started = False
        self._left_early: rtc.RemoteParticipant | None = None

    def watch(self) -> None:
        """Begin to watch the room, before the session is started: some callers leave at once."""
        self._room.on("participant_connected", self._on_connected)
        self._room.on("participant_disconnected", self._on_disconnected)

    def start(self) -> None:
        """Take care of the session, which has been started."""
        self._started = True
        self._room.local_participant.register_rpc_method(HANG_UP_METHOD, self._on_hang_up)
        if self._left_early:
            self._on_disconnected(self._left_early)

    def stop(self) -> None:
        """Stop watching; nobody is waited for any more."""
        self._room.off("participant_connected", self._on_connected)
        self._room.off("participant_disconnected", self._on_disconnected)
        if self._started:
            self._room.local_participant.unregister_rpc_method(HANG_UP_METHOD)
        self._stop_waiting()

    async def _on_hang_up(self, _: rtc.RpcInvocationData) -> str:
        self._hung_up = True
        self._end(Ending.CALLER_HUNG_UP)
        return ""

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind not in DEFAULT_PARTICIPANT_KINDS or self._somebody_is_there():
            return
        if self._hung_up:
            return
        if not self._started:
            self._left_early = participant
            return
        if participant.attributes.get(RETURNS_ATTRIBUTE):
            logger.info("caller is away", extra={"wait_s": self._wait_s})
            with suppress(RuntimeError):  # the session is closing
                _ = self._session.interrupt(force=True)
            self._stop_waiting()
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._wait_s, self._give_up)
        elif participant.disconnect_reason in DEFAULT_CLOSE_ON_DISCONNECT_REASONS:
            self._end(Ending.CALLER_HUNG_UP)

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if self._deadline is None or participant.kind not in DEFAULT_PARTICIPANT_KINDS:
            return
        logger.info("caller is back")
        self._stop_waiting()
        if self._welcome_back:
            with suppress(RuntimeError):  # the session is closing
                _ = self._session.say(self._welcome_back)

    def _give_up(self) -> None:
        self._end(Ending.CALLER_AWAY)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _somebody_is_there(self) -> bool:
        return any(
            p.kind in DEFAULT_PARTICIPANT_KINDS for p in self._room.remote_participants.values()
        )
