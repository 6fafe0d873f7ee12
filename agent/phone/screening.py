"""Who answered a call of ours: a person, a menu or an answering machine (the framework's AMD)."""

from __future__ import annotations

import logging
from typing import Any

from livekit.agents import AMD, AgentSession
from livekit.agents.llm import LLM
from livekit.agents.voice.amd.classifier import AMDCategory

from .limits import hang_up_with
from .line import Line

logger = logging.getLogger("parley.phone")

ANSWERED_BY = "parley.answered_by"
"""Attribute of the agent in which it tells who answered."""
MACHINES = (AMDCategory.MACHINE_VM, AMDCategory.MACHINE_UNAVAILABLE)


async def screen(line: Line, session: AgentSession[Any]) -> None:
    """Listen to who answers, then greet a person, or leave a message and hang up."""
    if not await line.picked_up(session):
        session.shutdown(drain=False)
        return
    async with AMD(
        session,
        llm=session.llm if isinstance(session.llm, LLM) else None,
        stt=None,
        ivr_detection=False,
        suppress_compatibility_warning=True,
        participant_identity=line.identity,
    ) as detector:
        verdict = await detector.execute()
    logger.info("answered", extra={"by": verdict.category.value})
    await line.room.local_participant.set_attributes({ANSWERED_BY: verdict.category.value})
    if verdict.category in MACHINES:
        if line.settings.voicemail and verdict.category is AMDCategory.MACHINE_VM:
            await hang_up_with(session, line.settings.voicemail)
        else:
            session.shutdown(drain=False)
    elif line.greeting:
        # What they said to open the call needs no answer but the greeting.
        session.clear_user_turn()
        await session.interrupt()
        _ = session.say(line.greeting)
