"""Barge-in by words: what a sound over the agent's voice means once the recogniser has heard it.

The framework's VAD pauses the agent at any sound that lasts. Words then make it an interruption at
once, not only with their final: the reply to them can then be begun ahead of the turn's end, which
the framework refuses while a paused reply may still be resumed. Sounds of listening ("mm-hmm") are
not passed on at all, so that the paused reply goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from livekit.agents import AgentSession, stt
from livekit.agents.voice import SpeechHandle

from .words import is_backchannel

_TRANSCRIPTS = (
    stt.SpeechEventType.INTERIM_TRANSCRIPT,
    stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    stt.SpeechEventType.FINAL_TRANSCRIPT,
)


async def attentive(
    events: AsyncIterable[stt.SpeechEvent | str], session: AgentSession[Any]
) -> AsyncIterator[stt.SpeechEvent | str]:
    """Pass on what the caller said, without sounds of listening while the agent has the word.

    Args:
        events: The recogniser's events.
        session: The call's session; words interrupt what it is saying.
    """
    async for event in events:
        speech = _speech_in_the_way(session)
        if speech and (text := _words(event)):
            if is_backchannel(text):
                continue
            if session.user_state == "speaking":
                _ = speech.interrupt()  # its end need not be awaited
        yield event


def _speech_in_the_way(session: AgentSession[Any]) -> SpeechHandle | None:
    """What the agent is saying, or is about to say, and could still be interrupted in."""
    speech = session.current_speech
    if speech is None or speech.done() or speech.interrupted or not speech.allow_interruptions:
        return None
    return speech


def _words(event: stt.SpeechEvent | str) -> str:
    if isinstance(event, str):
        return event
    if event.type not in _TRANSCRIPTS or not event.alternatives:
        return ""
    return event.alternatives[0].text
