"""Where a turn's time goes: parts that sum to the whole, each where its delay arose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)

from agent.guard.hedge import Hedge
from agent.observe.hedges import HedgeLedger
from agent.observe.record import PartName, TurnRecord
from agent.observe.transport import Transport
from agent.observe.waterfall import VAD_LATE_S, Marks, Waterfall, parts_of

WAY = Transport(uplink_ms=60.0, downlink_ms=50.0)
PLAIN = Marks(
    ended=0.0,
    heard=0.14,
    asked=0.15,
    answered=0.48,
    sent=0.49,
    voiced=0.68,
    committed=0.5,
    played=0.70,
)
INJECTED_S = 0.137


def part_ms(marks: Marks) -> dict[PartName, float]:
    return {part.name: part.ms for part in parts_of(marks, WAY)}


def later(first: str, by_s: float) -> Marks:
    """The plain turn with everything from a mark on later, as when the stage before it is slow."""
    order = ("heard", "asked", "answered", "sent", "voiced", "played")
    moved = order[order.index(first) :]
    return replace(PLAIN, **{name: getattr(PLAIN, name) + by_s for name in moved})


@pytest.mark.parametrize(
    ("mark", "part"),
    [("heard", "stt"), ("answered", "llm"), ("sent", "clause"), ("voiced", "tts")],
)
def test_a_delay_appears_in_its_own_part_and_nowhere_else(mark: str, part: PartName) -> None:
    before, after = part_ms(PLAIN), part_ms(later(mark, INJECTED_S))
    grown = {name: after[name] - before[name] for name in before}
    assert grown.pop(part) == pytest.approx(1000 * INJECTED_S)
    assert all(ms == pytest.approx(0.0) for ms in grown.values())


def test_waiting_for_the_turns_end_counts_only_when_nothing_else_was_being_done() -> None:
    hidden = part_ms(replace(PLAIN, committed=0.65))
    assert hidden == part_ms(PLAIN)
    waited = part_ms(replace(PLAIN, committed=1.0, played=1.02))
    assert waited["commit"] == pytest.approx(part_ms(PLAIN)["commit"] + 320)
    assert waited["output"] == pytest.approx(20)


times = st.none() | st.floats(-1, 5)


@given(
    heard=times, asked=times, answered=times, sent=times, voiced=times, committed=times,
    played=st.floats(0, 5),
)  # fmt: skip
def test_parts_are_never_negative_and_sum_to_the_wait(played: float, **marks: float | None) -> None:
    parts = parts_of(Marks(ended=0.0, played=played, **marks), WAY)
    assert all(part.ms >= 0 for part in parts)
    whole = 1000 * played + WAY.uplink_ms + WAY.downlink_ms
    assert sum(part.ms for part in parts) == pytest.approx(whole)


class Session:
    """The session's events, and its clocks: the wall clock is far from the monotonic one."""

    WALL = 1_700_000_000.0

    def __init__(self, hedges: HedgeLedger | None = None) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.now = 0.0
        self.records: list[TurnRecord] = []
        self.waterfall = Waterfall(
            self,  # type: ignore[arg-type]  # only `on` is used
            self.records.append,
            hedges=hedges,
            clock=lambda: self.now,
            wall=lambda: self.WALL + self.now,
        )

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        self.handlers[event] = handler

    def ended_speaking(self, *, noticed_after_s: float) -> None:
        ended_at = self.WALL + self.now + VAD_LATE_S
        self.now += noticed_after_s + VAD_LATE_S
        event = UserStateChangedEvent(
            old_state="speaking", new_state="listening", created_at=ended_at
        )
        self.handlers["user_state_changed"](event)

    def transcribed(self) -> None:
        event = UserInputTranscribedEvent(transcript="words", is_final=True)
        self.handlers["user_input_transcribed"](event)

    def said(self, role: str, item_id: str, *, interrupted: bool = False) -> None:
        item = llm.ChatMessage(id=item_id, role=role, content=["words"], interrupted=interrupted)
        self.handlers["conversation_item_added"](ConversationItemAddedEvent(item=item))

    def became(self, state: str, *, before: str = "listening") -> None:
        event = AgentStateChangedEvent(
            old_state=before, new_state=state, created_at=self.WALL + self.now
        )
        self.handlers["agent_state_changed"](event)

    def answer(self, message: str, *, opener: bool = False) -> None:
        """The model and the voice at work on a message, 320 and 180 ms."""
        self.waterfall.asked(message)
        self.now += 0.32
        self.waterfall.answered()
        if opener:
            self.waterfall.opening("hit", 5)
        else:
            self.waterfall.opening("none", 0)
            self.now += 0.18
            self.waterfall.voiced(0.18)

    def turn(self, message: str, *, opener: bool = False) -> None:
        """A whole turn, answered ahead of its end."""
        self.ended_speaking(noticed_after_s=0.1)
        self.transcribed()
        self.answer(message, opener=opener)
        self.said("user", message)
        self.now += 0.01
        self.became("speaking")
        self.said("assistant", f"{message}-reply")
        self.became("listening", before="speaking")


def test_what_a_hedge_cost_is_in_the_record_of_its_turn() -> None:
    ledger = HedgeLedger()
    session = Session(ledger)
    ledger.hedged(Hedge(winner="local:brain", losers=("aigateway:m",)))
    session.turn("m1")
    session.turn("m2")
    hedged, plain = session.records
    assert (hedged.hedged_requests, plain.hedged_requests) == (1, 0)


def test_a_turn_names_the_routes_that_served_it() -> None:
    session = Session()
    served = session.waterfall.served
    served("stt", "a")
    session.waterfall.asked("in-vain")
    served("llm", "thrown-away")
    session.waterfall.asked("m1")
    for route in ("a", "a", "b"):  # after a tool, then broken off
        served("llm", route)
    served("tts", "a")
    session.turn("m1")
    served("tts", "late")  # a phrase that is kept for later
    session.turn("m2")
    first, second = session.records
    assert first.routes == {"stt": ("a",), "llm": ("a", "b"), "tts": ("a",)}
    assert second.routes == {"stt": ("a",)}  # it still listens; the others told nothing


def test_a_turn_is_one_record_in_the_time_of_the_callers_own_ear() -> None:
    session = Session()
    session.turn("m1")
    session.turn("m2", opener=True)
    first, second = session.records
    assert (first.turn, first.opener, first.llm_requests) == (1, "none", 1)
    # From the true end of the speech, which the detector notices late, to the first frame.
    assert first.total_ms == pytest.approx(1000 * (0.1 + VAD_LATE_S + 0.32 + 0.18 + 0.01), abs=0.1)
    assert first.part_ms("llm") == pytest.approx(320, abs=0.1)
    assert first.part_ms("tts") == pytest.approx(180, abs=0.1)
    assert (second.opener, second.characters_saved) == ("hit", 5)
    assert second.part_ms("tts") == 0


def test_a_reply_thrown_away_counts_as_a_request_and_not_as_time() -> None:
    session = Session()
    session.waterfall.asked("in-vain")
    session.now += 0.2
    session.waterfall.answered()
    session.turn("m1")
    [record] = session.records
    assert record.llm_requests == 2
    assert record.part_ms("llm") == pytest.approx(320, abs=0.1)


def test_an_acknowledged_turn_waited_for_its_end_and_for_no_model() -> None:
    session = Session()
    session.ended_speaking(noticed_after_s=0.1)
    session.transcribed()
    session.waterfall.asked("m1")
    session.now += 0.2
    session.waterfall.acknowledged()
    session.waterfall.opening("hit", 11)
    session.said("user", "m1")
    session.now += 0.01
    session.became("speaking")
    session.now += 0.12
    session.waterfall.answered()
    session.said("assistant", "m1-reply")
    session.became("listening", before="speaking")
    [record] = session.records
    assert (record.opener, record.characters_saved) == ("acknowledged", 0)
    assert record.part_ms("commit") == pytest.approx(200, abs=0.1)
    assert record.part_ms("llm") == record.part_ms("tts") == 0
    assert record.part_ms("output") == pytest.approx(10, abs=0.1)


def test_an_interrupted_reply_is_told_as_such() -> None:
    session = Session()
    session.ended_speaking(noticed_after_s=0.1)
    session.transcribed()
    session.answer("m1")
    session.said("user", "m1")
    session.became("speaking")
    session.became("listening", before="speaking")  # paused
    assert session.records == []
    session.said("assistant", "m1-reply", interrupted=True)
    [record] = session.records
    assert record.interrupted


class CountingTransport:
    """Counts how often WebRTC's statistics are read."""

    now = Transport()
    read = 0

    async def refresh(self) -> None:
        self.read += 1


async def test_statistics_are_read_while_the_caller_speaks_and_never_in_a_barge_in() -> None:
    session = Session()
    session.waterfall._transport = transport = CountingTransport()  # type: ignore[assignment]

    async def caller_speaks() -> int:
        event = UserStateChangedEvent(old_state="listening", new_state="speaking")
        session.handlers["user_state_changed"](event)
        await asyncio.sleep(0)
        return transport.read

    assert await caller_speaks() == 1
    session.became("speaking")
    assert await caller_speaks() == 1
    session.became("listening", before="speaking")
    assert await caller_speaks() == 2
    await session.waterfall.aclose()


def test_what_was_typed_is_no_turn_of_the_ear() -> None:
    session = Session()
    session.answer("m1")
    session.said("user", "m1")
    session.became("speaking")
    session.said("assistant", "m1-reply")
    session.became("listening", before="speaking")
    assert session.records == []
