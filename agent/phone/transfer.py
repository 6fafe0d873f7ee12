"""Passes a call on: to a number at once (cold), or to somebody who is asked first (warm).

The framework's own warm transfer moves a participant between rooms, which the open-source server
does not do ("not implemented"). Here everybody stays in the caller's room, and who hears whom is
decided by subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from secrets import token_hex
from typing import Any

from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc
from livekit.agents import (
    AgentSession,
    AudioConfig,
    BackgroundAudioPlayer,
    BuiltinAudioClip,
)
from livekit.agents.utils.participant import wait_for_track_publication

from ..config import ConfigError
from .keypad import Keypad
from .line import PLAYOUT_S, Line
from .numbers import sip_or_tel
from .outcome import Outcome, outcome_of
from .trunks import find_outbound

logger = logging.getLogger("parley.phone")

ACCEPT, DECLINE = "1", "2"
OFFERS = 2
"""Times that somebody who answered is asked."""
HOLD_VOLUME = 0.5
VOICE_S = 5.0
"""How long the sound of somebody who answered may take to appear in the room."""
MAX_SAID_CHARS = 200
"""Of the caller's last words, for the one who is asked."""


async def cold(line: Line, number: str) -> Outcome:
    """Have the caller's provider connect them to `number` (REFER) and hang up here."""
    request = api.TransferSIPParticipantRequest(
        participant_identity=line.identity,
        room_name=line.room.name,
        transfer_to=sip_or_tel(number),
        ringing_timeout=Duration(seconds=round(line.settings.ring_s)),
    )
    try:
        answer = await line.api.sip.transfer_sip_participant(request)
    except (api.ServerError, TimeoutError) as e:
        return outcome_of(e)
    if answer.status == api.SIPTransferStatus.STS_TRANSFER_FAILED:
        return Outcome.REJECTED
    return Outcome.ANSWERED


class Consultation:
    """A warm transfer: the caller is on hold while somebody is called and asked.

    Args:
        line: The caller's line.
        session: The call's session.
        number: Whom to call.
        name: What callers call them.
        said: The caller's last words.
    """

    def __init__(
        self, *, line: Line, session: AgentSession[Any], number: str, name: str, said: str
    ) -> None:
        self._line = line
        self._session = session
        self._number = number
        self._name = name
        self._said = said[:MAX_SAID_CHARS]
        self._identity = f"transfer-{token_hex(4)}"
        self._left = asyncio.Event()
        self._words: list[str] = []

    async def hold(self) -> Outcome:
        """Do all of it; the caller is back with the agent unless it was answered."""
        room = self._line.room
        music = BackgroundAudioPlayer()
        room.on("participant_disconnected", self._on_left)
        self._session.input.set_audio_enabled(False)
        try:
            await music.start(room=room)
            _ = music.play(AudioConfig(BuiltinAudioClip.HOLD_MUSIC, volume=HOLD_VOLUME), loop=True)
            outcome = await self._call()
            if outcome is Outcome.ANSWERED:
                await self._part(music)
                outcome = await self._ask()
        finally:
            await music.aclose()
            room.off("participant_disconnected", self._on_left)
        if outcome is Outcome.ANSWERED:
            await self._connect()
        else:
            await self._take_back()
        return outcome

    async def _call(self) -> Outcome:
        settings = self._line.settings
        try:
            request = api.CreateSIPParticipantRequest(
                sip_trunk_id=await find_outbound(self._line.api, settings.trunk),
                sip_call_to=self._number,
                room_name=self._line.room.name,
                participant_identity=self._identity,
                wait_until_answered=True,
                ringing_timeout=Duration(seconds=round(settings.ring_s)),
            )
            await self._line.api.sip.create_sip_participant(request)
        except ConfigError as e:
            logger.error("no transfer: %s", e)
            return Outcome.FAILED
        except (api.ServerError, TimeoutError) as e:
            return outcome_of(e)
        return Outcome.ANSWERED

    async def _ask(self) -> Outcome:
        """Tell who is calling, to them alone, and wait for the key that takes the call."""
        offer = (
            f"Hello, this is Parley. I have a caller for {self._name} on the line, "
            f"{f'who said: {self._said} ' if self._said else ''}"
            "Press 1 to take the call, or 2 to decline."
        )
        keypad = Keypad(room=self._line.room, identity=self._identity)
        keypad.start()
        try:
            for _ in range(OFFERS):
                key = await self._key_after(offer, keypad)
                if self._left.is_set():
                    return Outcome.REJECTED
                if key in (ACCEPT, DECLINE):
                    return Outcome.ANSWERED if key == ACCEPT else Outcome.REJECTED
            return Outcome.NO_ANSWER
        finally:
            keypad.stop()

    async def _key_after(self, offer: str, keypad: Keypad) -> str:
        """The key that answers what is said, during it or soon after it; none: empty."""
        accept_s = self._line.settings.accept_s
        speech = self._session.say(offer, allow_interruptions=False, add_to_chat_ctx=False)
        said = asyncio.create_task(speech.wait_for_playout())
        key = asyncio.create_task(keypad.collect(1, key_s=PLAYOUT_S + accept_s))
        left = asyncio.create_task(self._left.wait())
        try:
            for tasks, wait_s in (({said, key, left}, PLAYOUT_S), ({key, left}, accept_s)):
                await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if key.done() or left.done():
                    break
            return key.result() if key.done() else ""
        finally:
            for task in (said, key, left):
                task.cancel()
            if not speech.done():
                _ = speech.interrupt(force=True)

    async def _part(self, music: BackgroundAudioPlayer) -> None:
        """The music is for the caller, and what the agent says for the one who is called.

        This takes away what the bridge has subscribed to. Permissions to subscribe would do it too,
        but given back they take effect only after seconds, and the caller would miss as much.
        """
        # What is not there yet cannot be kept apart.
        with contextlib.suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(VOICE_S):
                await wait_for_track_publication(
                    self._line.room, identity=self._identity, kind=rtc.TrackKind.KIND_AUDIO
                )
        of_music = [music.publication.sid] if music.publication else []
        mine = self._line.room.local_participant.track_publications
        self._words = [sid for sid in mine if sid not in of_music]
        caller, callee = self._line.identity, self._identity
        await self._hear(caller, [*self._words, *self._tracks(callee)], on=False)
        await self._hear(callee, [*of_music, *self._tracks(caller)], on=False)

    async def _connect(self) -> None:
        """Let them talk; the agent only waits for the end."""
        self._line.passed_on = True
        if self._line.limits:
            self._line.limits.stop()
        self._session.output.set_audio_enabled(False)
        caller, callee = self._line.identity, self._identity
        await self._hear(caller, self._tracks(callee), on=True)
        await self._hear(callee, self._tracks(caller), on=True)

    async def _take_back(self) -> None:
        await self._hear(self._line.identity, self._words, on=True)
        request = api.RoomParticipantIdentity(room=self._line.room.name, identity=self._identity)
        try:
            await self._line.api.room.remove_participant(request)
        except api.ServerError:
            logger.info("they had hung up already")
        self._session.input.set_audio_enabled(True)

    def _tracks(self, identity: str) -> list[str]:
        there = self._line.room.remote_participants.get(identity)
        return list(there.track_publications) if there else []

    async def _hear(self, listener: str, tracks: list[str], *, on: bool) -> None:
        """Whether somebody hears some tracks."""
        if not tracks or listener not in self._line.room.remote_participants:
            return
        request = api.UpdateSubscriptionsRequest(
            room=self._line.room.name, identity=listener, track_sids=tracks, subscribe=on
        )
        try:
            await self._line.api.room.update_subscriptions(request)
        except api.ServerError:
            logger.warning("subscriptions are as they were: did somebody hang up?")

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self._left.set()
