"""A realtime model that fails is apologised for, and a call without one ends with a goodbye."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from livekit.agents import (
    APIConnectionError,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserStateChangedEvent,
    llm,
    stt,
)

from agent.guard.realtime import RealtimeGuard
from agent.guard.reply import ReplyGuard
from agent.guard.settings import GuardSettings
from agent.speech.phrases import PhraseCache
from tests import virtual_time

from .test_hearing import Session

SETTINGS = GuardSettings()


class TalkingSession(Session):
    def user_speaks(self) -> None:
        event = UserStateChangedEvent(old_state="listening", new_state="speaking")
        self.handlers["user_state_changed"](event)

    def agent_answers(self) -> None:
        message = llm.ChatMessage(role="assistant", content=["Here it is."])
        self.handlers["conversation_item_added"](ConversationItemAddedEvent(item=message))

    def break_down(self, *, recoverable: bool) -> llm.RealtimeModelError:
        error = llm.RealtimeModelError(
            timestamp=0.0, label="x", error=APIConnectionError(), recoverable=recoverable
        )
        self.handlers["error"](ErrorEvent(error=error, source=None))
        return error


@pytest.fixture
def session() -> TalkingSession:
    return TalkingSession()


@pytest.fixture
def guard(session: TalkingSession, tmp_path: Path) -> RealtimeGuard:
    reply = ReplyGuard(settings=SETTINGS, phrases=PhraseCache(folder=tmp_path, voice="v"))
    guard = RealtimeGuard(session=session, settings=SETTINGS, reply=reply)  # type: ignore[arg-type]
    guard.start()
    return guard


async def test_a_reply_that_is_owed_is_apologised_for_once(
    session: TalkingSession, guard: RealtimeGuard
) -> None:
    session.break_down(recoverable=True)
    assert session.said == []  # nobody had spoken: nothing is missed
    session.user_speaks()
    session.break_down(recoverable=True)
    session.break_down(recoverable=True)
    assert session.said == [SETTINGS.apology]
    await guard.aclose()


async def test_a_reply_that_breaks_off_is_told_as_such(
    session: TalkingSession, guard: RealtimeGuard
) -> None:
    session.user_speaks()
    session.agent_is("speaking")
    session.break_down(recoverable=True)
    assert session.said == [SETTINGS.broke_off]
    await guard.aclose()


async def test_a_final_error_ends_the_call_with_a_goodbye(
    session: TalkingSession, guard: RealtimeGuard
) -> None:
    error = session.break_down(recoverable=False)
    assert error.recoverable, "else the framework hangs up at once, without a word"
    await guard.aclose()
    assert session.said == [SETTINGS.give_up]
    assert session.closed.is_set()


async def test_turns_that_fail_in_a_row_end_it_too_and_an_answer_between_them_does_not(
    session: TalkingSession, guard: RealtimeGuard
) -> None:
    for _ in range(SETTINGS.max_failed_turns - 1):
        session.user_speaks()
        session.break_down(recoverable=True)
    session.agent_answers()
    for _ in range(SETTINGS.max_failed_turns - 1):
        session.user_speaks()
        session.break_down(recoverable=True)
    assert SETTINGS.give_up not in session.said
    session.user_speaks()
    session.break_down(recoverable=True)
    await guard.aclose()
    assert session.said[-1] == SETTINGS.give_up


@pytest.mark.parametrize("answered", [True, False])
def test_words_that_stay_without_an_answer_are_apologised_for(
    tmp_path: Path, *, answered: bool
) -> None:
    async def wait() -> list[str]:
        session = TalkingSession()
        reply = ReplyGuard(settings=SETTINGS, phrases=PhraseCache(folder=tmp_path, voice="v"))
        guard = RealtimeGuard(session=session, settings=SETTINGS, reply=reply)  # type: ignore[arg-type]
        guard.start()
        session.user_speaks()
        session.hear()
        await asyncio.sleep(SETTINGS.turn_deadline_s / 2)
        if answered:
            session.agent_answers()
        await asyncio.sleep(SETTINGS.turn_deadline_s)
        await guard.aclose()
        return session.said

    assert virtual_time.run(wait()) == ([] if answered else [SETTINGS.apology])


async def test_ears_beside_the_model_cost_captions_only(
    session: TalkingSession, guard: RealtimeGuard
) -> None:
    session.user_speaks()
    session.fail(kind=stt.STTError)
    assert session.said == []
    await guard.aclose()
