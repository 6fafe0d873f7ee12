"""What words over the agent's voice do: interrupt it, unless they are sounds of listening."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from livekit.agents import AgentSession, LanguageCode, stt

from agent.bargein import attentive

Kind = stt.SpeechEventType


class Speech:
    def __init__(self, *, interruptible: bool = True) -> None:
        self.allow_interruptions = interruptible
        self.interrupted = False

    def done(self) -> bool:
        return False

    def interrupt(self) -> Speech:
        self.interrupted = True
        return self


class Session:
    def __init__(self, speech: Speech | None, user_state: str = "speaking") -> None:
        self.current_speech = speech
        self.user_state = user_state


def said(text: str, kind: Kind = Kind.INTERIM_TRANSCRIPT) -> stt.SpeechEvent:
    words = [stt.SpeechData(language=LanguageCode("en"), text=text)]
    return stt.SpeechEvent(type=kind, alternatives=words)


async def passed_on(session: Session, *events: stt.SpeechEvent) -> list[stt.SpeechEvent]:
    async def source() -> AsyncIterator[stt.SpeechEvent | str]:
        for event in events:
            yield event

    heard = attentive(source(), cast(AgentSession[Any], session))
    return [event async for event in heard if isinstance(event, stt.SpeechEvent)]


@pytest.mark.parametrize("kind", [Kind.INTERIM_TRANSCRIPT, Kind.FINAL_TRANSCRIPT])
async def test_words_interrupt_at_once(kind: Kind) -> None:
    speech = Speech()
    event = said("No, wait", kind)
    assert await passed_on(Session(speech), event) == [event]
    assert speech.interrupted


async def test_a_sound_of_listening_is_not_passed_on_and_interrupts_nothing() -> None:
    speech = Speech()
    assert await passed_on(Session(speech), said("Mhm."), said("uh huh")) == []
    assert not speech.interrupted


async def test_while_nobody_speaks_it_is_an_answer() -> None:
    event = said("Uh huh.")
    assert await passed_on(Session(None), event) == [event]


async def test_words_that_come_late_are_left_to_the_framework() -> None:
    speech = Speech()
    event = said("No, wait", Kind.FINAL_TRANSCRIPT)
    assert await passed_on(Session(speech, user_state="listening"), event) == [event]
    assert not speech.interrupted


async def test_what_may_not_be_interrupted_is_not() -> None:
    speech = Speech(interruptible=False)
    assert len(await passed_on(Session(speech), said("No"), said("mhm"))) == 2
    assert not speech.interrupted


async def test_events_without_words_pass() -> None:
    speech = Speech()
    event = stt.SpeechEvent(type=Kind.START_OF_SPEECH)
    assert await passed_on(Session(speech), event) == [event]
    assert not speech.interrupted
