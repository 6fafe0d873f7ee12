from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import APIConnectionError, ErrorEvent, UserInputTranscribedEvent, llm, stt

from agent.config import GuardSettings
from agent.guard.hearing import HearingGuard
from agent.guard.reply import ReplyGuard
from agent.speech.phrases import PhraseCache

SETTINGS = GuardSettings()


class Speech:
    async def wait_for_playout(self) -> None:
        return


class Session:
    """What the guard uses of a session; notes what was said."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.said: list[str] = []
        self.closed = asyncio.Event()

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        self.handlers[event] = handler

    def off(self, event: str, handler: Callable[[Any], None]) -> None:
        assert self.handlers.pop(event) == handler

    def say(self, text: str, *, audio: object, add_to_chat_ctx: bool) -> Speech:
        assert audio is not None
        assert not add_to_chat_ctx
        self.said.append(text)
        return Speech()

    def shutdown(self) -> None:
        self.closed.set()

    def fail(self, *, recoverable: bool = False, kind: type[Any] = stt.STTError) -> None:
        error = kind(timestamp=0.0, label="x", error=APIConnectionError(), recoverable=recoverable)
        self.handlers["error"](ErrorEvent(error=error, source=None))

    def hear(self) -> None:
        heard = UserInputTranscribedEvent(transcript="x", is_final=True)
        self.handlers["user_input_transcribed"](heard)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def session() -> Session:
    return Session()


@pytest.fixture
async def guard(session: Session, clock: Clock, tmp_path: Path) -> HearingGuard:
    reply = ReplyGuard(settings=SETTINGS, phrases=PhraseCache(folder=tmp_path, voice="v"))
    hearing = HearingGuard(session=session, settings=SETTINGS, reply=reply, clock=clock)  # type: ignore[arg-type]  # only what it uses
    hearing.start()
    return hearing


async def test_the_caller_is_told_once_when_hearing_fails(
    guard: HearingGuard, session: Session, clock: Clock
) -> None:
    session.fail()
    session.fail()
    assert session.said == [SETTINGS.cannot_hear]
    session.hear()
    clock.now = 5.0
    session.fail()
    assert session.said == [SETTINGS.cannot_hear] * 2
    await guard.aclose()
    assert session.handlers == {}


async def test_what_recovers_and_other_stages_are_not_mentioned(
    guard: HearingGuard, session: Session
) -> None:
    session.fail(recoverable=True)
    session.fail(kind=llm.LLMError)
    assert session.said == []


async def test_failing_for_good_ends_the_call_with_a_word(
    guard: HearingGuard, session: Session
) -> None:
    for _ in range(SETTINGS.max_failed_turns):
        session.fail()
    await guard.aclose()
    assert session.said[-1] == SETTINGS.give_up
    assert session.closed.is_set()


async def test_lost_speech_is_asked_for_again(guard: HearingGuard, session: Session) -> None:
    guard.speech_lost(4.2)
    assert session.said == [SETTINGS.cannot_hear]
