"""The beginning of a telephone call: a line, or a word and the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from livekit.agents import Agent, AgentSession, JobContext, TurnHandlingOptions, room_io, tts

from ..config import Settings
from ..speech.phrases import PhraseCache
from .limits import hang_up_with
from .line import RATE, Line, NoCaller, pick_up

logger = logging.getLogger("parley.phone")

_START_S = 10.0


async def answer(
    ctx: JobContext, settings: Settings, voice: tts.TTS[Any], phrases: PhraseCache
) -> Line | None:
    """The line, once somebody is on it; None when the job is over already."""
    try:
        line = await pick_up(ctx, settings)
    except NoCaller:
        logger.info("nobody on the line")
        await voice.aclose()
        await end_room(ctx)
        return None
    if line.busy:
        await say_busy(ctx, line, voice, phrases)
        return None
    return line


async def say_busy(ctx: JobContext, line: Line, voice: tts.TTS[Any], phrases: PhraseCache) -> None:
    """Say that all lines are busy and hang up; no ears and no mind are connected for it."""
    logger.warning("all lines are busy")
    session = AgentSession[None](
        tts=voice, vad=None, turn_handling=TurnHandlingOptions(turn_detection="manual")
    )
    options = room_io.RoomOptions(
        audio_input=False,
        audio_output=room_io.AudioOutputOptions(sample_rate=RATE),
        text_input=False,
        participant_identity=line.identity,
        close_on_disconnect=False,
    )
    try:
        async with asyncio.timeout(_START_S):
            await session.start(Agent(instructions=""), room=ctx.room, room_options=options)
        await hang_up_with(session, line.settings.busy, phrases)
    except TimeoutError:
        logger.warning("a caller was turned away without a word")
    finally:
        await voice.aclose()
        await end_room(ctx)


async def end_room(ctx: JobContext) -> None:
    """Hang up and end the job."""
    await ctx.delete_room()
    ctx.shutdown(reason="phone call over")
