"""One telephone call as the worker sees it: the line, its keys, its limits and its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from livekit import api, rtc
from livekit.agents import AgentSession, JobContext, room_io
from livekit.agents.utils.participant import wait_for_participant_attribute

from ..config import Settings, TurnSettings
from ..speech.captions import PACED
from .keypad import Keypad
from .limits import Limits
from .settings import PhoneSettings
from .slots import Slot, Slots

logger = logging.getLogger("parley.phone")

OUTBOUND = "out-"
"""After the prefix in the name of a room: the agent calls, and greets once somebody answers."""

PLAYOUT_S = 20.0
"""How long an announcement may take."""
FRAME_MS = 20
"""A packet of the line."""
RATE = 16_000
"""Samples a second of what is said; a line carries 8000."""
SLOWER_S = 0.1
"""What a line adds to every silence that ends a turn: its jitter buffers put pauses into speech
that had none, and a lost packet is one too."""
_CALL_STATUS, _ACTIVE = "sip.callStatus", "active"


class NoCaller(Exception):
    """Nobody came on the line."""


class Line:
    """One telephone call.

    Args:
        ctx: The job.
        settings: The worker's settings.
        caller: Who is on the line.
        slot: Its place among the calls of this machine, if they are counted.
        busy: Whether it has none, because all are taken.
        outbound: Whether it is the agent who called.
    """

    def __init__(
        self,
        *,
        ctx: JobContext,
        settings: Settings,
        caller: rtc.RemoteParticipant,
        slot: Slot | None,
        busy: bool,
        outbound: bool,
    ) -> None:
        self.room = ctx.room
        self.api: api.LiveKitAPI = ctx.api
        self.identity = caller.identity
        self.busy, self.outbound = busy, outbound
        self.settings: PhoneSettings = settings.phone
        self.greeting = settings.greeting
        self.keypad = Keypad(room=ctx.room, identity=caller.identity, on_key=self._choose)
        self.passed_on = False
        """Whether the call goes on between people, without the agent."""
        self.limits: Limits | None = None
        self._slot = slot
        self._session: AgentSession[Any] | None = None

    def room_options(self, text: room_io.TextInputOptions, rate: int) -> room_io.RoomOptions:
        """The room's sound in packets of the line, and the caller alone as the one to hear.

        Args:
            text: What becomes of typed words.
            rate: Samples a second that ears or model want.
        """
        return room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(frame_size_ms=FRAME_MS, sample_rate=rate),
            audio_output=False,  # Playout's
            text_output=PACED,
            text_input=text,
            participant_identity=self.identity,
            participant_kinds=[rtc.ParticipantKind.PARTICIPANT_KIND_SIP],
            close_on_disconnect=False,  # the line says when the call is over
        )

    def attend(self, session: AgentSession[Any]) -> None:
        """Look after the call from now on."""
        self._session = session
        self.keypad.start()
        self.limits = Limits(session=session, settings=self.settings)
        if not self.outbound:  # ringing is no silence
            self.limits.start()
        self.room.on("participant_disconnected", self._on_left)
        session.on("close", lambda _: self.leave())

    async def picked_up(self, session: AgentSession[Any]) -> bool:
        """Wait, deaf to what a network plays meanwhile, until whom we call has picked up.

        Returns:
            Whether they have.
        """
        session.input.set_audio_enabled(False)
        try:
            await wait_for_participant_attribute(
                self.room, identity=self.identity, attribute=_CALL_STATUS, value=_ACTIVE
            )
        except RuntimeError:  # they have not, and have left the room
            return False
        session.input.set_audio_enabled(True)
        if self.limits:
            self.limits.start()
        return True

    def leave(self) -> None:
        """Stop looking after it; its place is free."""
        self.keypad.stop()
        if self.limits:
            self.limits.stop()
        self.room.off("participant_disconnected", self._on_left)
        self.give_back()

    def give_back(self) -> None:
        """Make room for another call."""
        if self._slot:
            self._slot.release()

    async def press(self, keys: str) -> None:
        """Press keys towards the other side."""
        for key in keys:
            code = "0123456789*#ABCD".index(key)
            await self.room.local_participant.publish_dtmf(code=code, digit=key)
            await asyncio.sleep(0.3)  # a key that follows at once may be taken for the same press

    def _choose(self, key: str) -> None:
        """A key that nobody asked for is a choice from the menu."""
        session = self._session
        if session is None:
            return
        session.reset_away_timer()
        if words := self.settings.menu.get(key):
            logger.info("menu", extra={"key": key})
            try:
                _ = session.interrupt()
                _ = session.generate_reply(user_input=words)
            except RuntimeError:  # the session is closing, or says its last words
                logger.info("key not taken")

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        """The call is over when the caller is gone, or, passed on, when anybody is."""
        gone = participant.identity == self.identity
        on_a_line = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        if self._session and (gone or (self.passed_on and on_a_line)):
            self.keypad.stop()  # nobody will press any more: no tool shall wait for it
            self._session.shutdown(drain=False)


def is_phone(settings: Settings, room_name: str) -> bool:
    """Whether a room is for a telephone call."""
    return room_name.startswith(settings.phone.room_prefix)


async def pick_up(ctx: JobContext, settings: Settings) -> Line:
    """Wait for the line of a telephone call.

    Raises:
        NoCaller: Nobody came in time.
    """
    slots = settings.phone.max_calls
    slot = Slots(folder=settings.phone.lines_path, count=slots).take() if slots else None
    try:
        async with asyncio.timeout(settings.phone.join_s):
            await ctx.connect()
            caller = await ctx.wait_for_participant(
                kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP
            )  # fmt: skip
    except (TimeoutError, RuntimeError):
        if slot:
            slot.release()
        raise NoCaller from None
    outbound = ctx.room.name.startswith(settings.phone.room_prefix + OUTBOUND)
    busy = bool(slots) and slot is None and not outbound
    return Line(
        ctx=ctx, settings=settings, caller=caller, slot=slot, busy=busy, outbound=outbound
    )  # fmt: skip


def tuned(settings: Settings, line: Line) -> Settings:
    """The settings of a call on a line: patient turns, no echo canceller to wait for.

    Whose account it is, is open: a number on a display can be forged, so it proves nothing.
    """
    turn: TurnSettings = settings.turn
    slower = ("finished_s", "likely_s", "unsure_s", "dictation_s")
    changed = {name: getattr(turn, name) + SLOWER_S for name in slower} | {"aec_warmup_s": 0.0}
    return settings.model_copy(
        update={
            "turn": turn.model_copy(update=changed),
            "customer_email": "" if settings.phone.pins else settings.customer_email,
            # Who is called speaks first; then `screening` says the greeting.
            "greeting": "" if line.outbound else settings.greeting,
        }
    )
