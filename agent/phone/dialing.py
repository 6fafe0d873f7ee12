"""Calls out: a room with the agent in it, then the one who is called."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from google.protobuf.duration_pb2 import Duration
from livekit import api

from ..config import Settings
from .line import OUTBOUND
from .numbers import DialPolicy
from .outcome import Outcome, outcome_of
from .screening import ANSWERED_BY, MACHINES
from .trunks import DEPARTURE_S, find_outbound

logger = logging.getLogger("parley.phone")

AGENT_S = 20.0
"""How long the agent may take to come."""
SCREENING_S = 30.0
"""How long it may take to tell a person from a machine."""
POLL_S = 0.2
EMPTY_S = 60
"""Seconds that a room waits for its first participant."""


@dataclass(frozen=True)
class Dialled:
    """What became of a call.

    Attributes:
        outcome: How it ended, or that it was answered.
        room: The room that it is in.
        status: The SIP status of a refusal; 0 if there is none.
        answered_by: What the agent took the other side for: "human", "machine-ivr" and so on.
    """

    outcome: Outcome
    room: str
    status: int = 0
    answered_by: str = ""


async def dial(
    server: api.LiveKitAPI, number: str, settings: Settings, *, say: Callable[[str], None]
) -> Dialled:
    """Call `number` with the agent.

    Args:
        server: The LiveKit server.
        number: Whom; checked against the allow-list first.
        settings: The worker's settings.
        say: Told what is going on.

    Raises:
        DialRefused: The number may not be called.
        ConfigError: There is no trunk to call through.
    """
    allowed = DialPolicy(settings.phone.allow).check(number)
    trunk = await find_outbound(server, settings.phone.trunk)
    room = f"{settings.phone.room_prefix}{OUTBOUND}{token_hex(6)}"
    agents = [api.RoomAgentDispatch(agent_name=settings.agent_name)] if settings.agent_name else []
    await server.room.create_room(
        api.CreateRoomRequest(
            name=room, agents=agents, empty_timeout=EMPTY_S, departure_timeout=DEPARTURE_S
        )
    )
    try:
        if not await _agent(server, room):
            say(f"no agent came within {AGENT_S:.0f} s: is the worker running?")
            return await _over(server, Dialled(Outcome.FAILED, room))
        say("ringing")
        request = api.CreateSIPParticipantRequest(
            sip_trunk_id=trunk,
            sip_call_to=allowed,
            room_name=room,
            participant_identity="callee",
            wait_until_answered=True,
            ringing_timeout=Duration(seconds=round(settings.phone.ring_s)),
        )
        await server.sip.create_sip_participant(request)
    except (api.ServerError, TimeoutError) as e:
        status = e.sip_status_code or 0 if isinstance(e, api.SipCallError) else 0
        return await _over(server, Dialled(outcome_of(e), room, status))
    except asyncio.CancelledError:  # Ctrl-C hangs up, also while it rings
        await asyncio.shield(_over(server, Dialled(Outcome.FAILED, room)))
        raise
    say("answered")
    by = await _answered_by(server, room)
    machine = by in {category.value for category in MACHINES}
    return Dialled(Outcome.VOICEMAIL if machine else Outcome.ANSWERED, room, 200, by)


async def _agent(server: api.LiveKitAPI, room: str) -> bool:
    async with asyncio.timeout(AGENT_S + 5):
        for _ in range(round(AGENT_S / POLL_S)):
            if await _agent_in(server, room):
                return True
            await asyncio.sleep(POLL_S)
    return False


async def _answered_by(server: api.LiveKitAPI, room: str) -> str:
    for _ in range(round(SCREENING_S / POLL_S)):
        agent = await _agent_in(server, room)
        if agent is None:
            return ""  # they hung up
        if by := agent.attributes.get(ANSWERED_BY):
            return str(by)
        await asyncio.sleep(POLL_S)
    return ""


async def _agent_in(server: api.LiveKitAPI, room: str) -> api.ParticipantInfo | None:
    try:
        listed = await server.room.list_participants(api.ListParticipantsRequest(room=room))
    except api.ServerError:
        return None
    agents = (p for p in listed.participants if p.kind == api.ParticipantInfo.Kind.AGENT)
    return next(agents, None)


async def _over(server: api.LiveKitAPI, result: Dialled) -> Dialled:
    try:
        await server.room.delete_room(api.DeleteRoomRequest(room=result.room))
    except api.ServerError:
        logger.info("the room was gone already")
    return result
