from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import (
    AgentStateChangedEvent,
    APIConnectionError,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
    stt,
)
from livekit.agents.voice.events import AgentState, UserState

from agent.guard.hearing import HearingGuard
from agent.guard.reply import ReplyGuard
from agent.guard.settings import GuardSettings
from agent.speech.phrases import PhraseCache
from tests import virtual_time

SETTINGS = GuardSettings()


class Speech:
    async def wait_for_playout(self) -> None:
        return


class Session:
    """What the guard uses of a session; notes what was said."""

    def __init__(self) -> None:
        self.agent_state: AgentState = "listening"
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

    def hear(self, *, is_final: bool = True) -> None:
        heard = UserInputTranscribedEvent(transcript="x", is_final=is_final)
        self.handlers["user_input_transcribed"](heard)

    def agent_is(self, state: AgentState) -> None:
        was, self.agent_state = self.agent_state, state
        event = AgentStateChangedEvent(old_state=was, new_state=state)
        self.handlers["agent_state_changed"](event)

    def user_is(self, state: UserState, *, was: UserState) -> None:
        event = UserStateChangedEvent(old_state=was, new_state=state)
        self.handlers["user_state_changed"](event)


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


def told(tmp_path: Path, *steps: Callable[[Session], float]) -> list[str]:
    """What the caller is told when these things happen, each followed by so many seconds."""

    async def main() -> list[str]:
        session = Session()
        reply = ReplyGuard(settings=SETTINGS, phrases=PhraseCache(folder=tmp_path, voice="v"))
        hearing = HearingGuard(
            session=session,  # type: ignore[arg-type]  # only what it uses
            settings=SETTINGS,
            reply=reply,
            clock=asyncio.get_running_loop().time,
        )
        hearing.start()
        for step in steps:
            await asyncio.sleep(step(session))
        await hearing.aclose()
        return session.said

    return virtual_time.run(main())


def begin(session: Session) -> float:
    session.user_is("speaking", was="listening")
    return 2.0


def stop(session: Session) -> float:
    session.user_is("listening", was="speaking")
    return SETTINGS.no_words_s + 1.0


def hear(session: Session) -> float:
    session.hear()
    return 0.1


def hear_a_part(session: Session) -> float:
    session.hear(is_final=False)
    return 0.1


def test_speech_without_words_is_asked_for_each_time_but_a_radio_is_not(tmp_path: Path) -> None:
    assert told(tmp_path, begin, hear_a_part, stop, finish) == [SETTINGS.cannot_hear]
    assert told(tmp_path, *[begin, stop] * 2) == [SETTINGS.cannot_hear] * 2
    assert told(tmp_path, *[begin, stop] * 6) == [SETTINGS.cannot_hear] * 3
    assert told(tmp_path, *[begin, stop] * 6, hear, begin, stop) == [SETTINGS.cannot_hear] * 4


def cough(session: Session) -> float:
    session.user_is("speaking", was="listening")
    return 0.3


def reply(session: Session) -> float:
    session.agent_is("speaking")
    return 0.1


def finish(session: Session) -> float:
    session.agent_is("listening")
    return 0.1


def test_a_cough_assent_and_what_was_heard_are_not_asked_about(tmp_path: Path) -> None:
    assert told(tmp_path, cough, stop) == []
    assert told(tmp_path, begin, hear, stop) == []
    assert told(tmp_path, reply, begin, finish, stop) == []


def answer_late(session: Session) -> float:
    session.user_is("listening", was="speaking")
    return SETTINGS.no_words_s - 0.5


def test_words_that_come_in_time_are_not_asked_for(tmp_path: Path) -> None:
    assert told(tmp_path, begin, answer_late, hear, finish, lambda _: 9.0) == []


def test_an_answer_without_a_transcript_is_an_answer(tmp_path: Path) -> None:
    assert told(tmp_path, begin, answer_late, reply, finish, lambda _: 9.0) == []
