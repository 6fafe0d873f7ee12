"""What the page is told, and who is waited for."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent, llm
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted, ToolExecutionUpdatedEvent

from agent.observe.publish import Publisher, unsaid
from agent.observe.record import Part, TurnRecord
from agent.presence import Presence
from agent.topics import RETURNS_ATTRIBUTE

WRITTEN = "Once upon a time there was a king who had a lamp."
STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
LEFT = rtc.DisconnectReason.CLIENT_INITIATED
DROPPED = rtc.DisconnectReason.SIGNAL_CLOSE


class Session(rtc.EventEmitter[str]):
    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def interrupt(self, *, force: bool) -> None:
        self.done.append("interrupt")

    def say(self, words: str) -> None:
        self.done.append(words)


class Room(rtc.EventEmitter[str]):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []
        self.local_participant = self
        self.remote_participants: dict[str, Any] = {}
        self.fails = False

    def isconnected(self) -> bool:
        return True

    async def send_text(self, text: str, *, topic: str) -> None:
        if self.fails:
            raise RuntimeError("no route")
        self.sent.append((topic, json.loads(text)))

    def register_rpc_method(self, name: str, handler: Any) -> None:
        self.hang_up = handler

    def unregister_rpc_method(self, name: str) -> None:
        del self.hang_up


async def told(room: Room, session: Session, *events: tuple[str, Any]) -> list[tuple[str, Any]]:
    publisher = Publisher(
        room=cast(rtc.Room, room),
        session=cast("AgentSession[Any]", session),
        prices={},
        reply=SimpleNamespace(written=WRITTEN),
    )
    publisher.start()
    for name, event in events:
        session.emit(name, event)
    publisher.turn(TurnRecord(turn=1, total_ms=5.0, parts=(Part(name="llm", ms=5.0),)))
    for _ in range(20):
        await asyncio.sleep(0)
    await publisher.aclose()
    return room.sent


def tool(status: str) -> list[tuple[str, Any]]:
    call = llm.FunctionCall(call_id="c1", name="lookup_order", arguments='{"email": "a@b.c"}')
    ended = ToolCallEnded(id="c1", call_id="c1", message="secret", status=cast(Any, status))
    updates = [ToolCallStarted(function_call=call), ended]
    return [("tool_execution_updated", ToolExecutionUpdatedEvent(update=u)) for u in updates]


@pytest.mark.parametrize(("status", "state"), [("done", "done"), ("error", "failed")])
async def test_tools_are_told_by_name_without_what_they_were_given(status: str, state: str) -> None:
    sent = await told(Room(), Session(), *tool(status))
    assert sent[:2] == [
        ("parley.tool", {"name": "lookup_order", "state": "started"}),
        ("parley.tool", {"name": "lookup_order", "state": state}),
    ]


async def test_turns_are_told() -> None:
    (sent,) = await told(Room(), Session())
    assert sent[0] == "parley.turn"
    assert sent[1]["parts"] == [{"name": "llm", "ms": 5.0}]


async def test_what_a_barge_in_cut_off_is_told() -> None:
    item = llm.ChatMessage(role="assistant", content=["Once upon a time"], interrupted=True)
    sent = await told(Room(), Session(), ("conversation_item_added", added(item)))
    assert sent[0] == (
        "parley.cut",
        {"said": "Once upon a time", "cut": "there was a king who had a lamp."},
    )


async def test_a_reply_that_was_heard_to_its_end_is_no_cut() -> None:
    item = llm.ChatMessage(role="assistant", content=[WRITTEN])
    sent = await told(Room(), Session(), ("conversation_item_added", added(item)))
    assert [topic for topic, _ in sent] == ["parley.turn"]


async def test_a_room_that_takes_nothing_harms_nobody() -> None:
    room = Room()
    room.fails = True
    assert await told(room, Session(), *tool("done")) == []


@pytest.mark.parametrize(
    ("written", "said", "rest"),
    [("a b c", "a", "b c"), ("a b c", "", "a b c"), ("a", "a b", ""), ("", "", "")],
)
def test_unsaid(written: str, said: str, rest: str) -> None:
    assert unsaid(written, said) == rest


def added(item: llm.ChatMessage) -> ConversationItemAddedEvent:
    return ConversationItemAddedEvent(item=item)


def caller(*, returns: bool, reason: int = LEFT, kind: int = STANDARD) -> Any:
    attributes = {RETURNS_ATTRIBUTE: "1"} if returns else {}
    return SimpleNamespace(kind=kind, attributes=attributes, disconnect_reason=reason)


def watch(room: Room, session: Session, *, wait_s: float = 60, started: bool = True) -> Presence:
    presence = Presence(
        room=cast(rtc.Room, room),
        session=cast("AgentSession[Any]", session),
        end=session.done.append,
        wait_s=wait_s,
        welcome_back="hello again",
    )
    presence.watch()
    if started:
        presence.start()
    return presence


async def test_a_page_that_comes_back_finds_its_agent() -> None:
    room, session = Room(), Session()
    presence = watch(room, session)
    room.emit("participant_disconnected", caller(returns=True))
    room.emit("participant_connected", caller(returns=True))
    presence.stop()
    assert session.done == ["interrupt", "hello again"]


async def test_a_page_that_stays_away_ends_the_call() -> None:
    room, session = Room(), Session()
    presence = watch(room, session, wait_s=0)
    room.emit("participant_disconnected", caller(returns=True))
    await asyncio.sleep(0.01)
    presence.stop()
    assert session.done == ["interrupt", "caller_away"]


async def test_who_leaves_before_the_session_has_begun_is_waited_for_then() -> None:
    room, session = Room(), Session()
    presence = watch(room, session, wait_s=0, started=False)
    room.emit("participant_disconnected", caller(returns=True))
    await asyncio.sleep(0.01)
    assert session.done == []
    presence.start()
    await asyncio.sleep(0.01)
    presence.stop()
    assert session.done == ["interrupt", "caller_away"]


@pytest.mark.parametrize(("reason", "ends"), [(LEFT, ["caller_hung_up"]), (DROPPED, [])])
async def test_other_callers_end_the_call_as_the_framework_has_it(
    reason: int, ends: list[str]
) -> None:
    room, session = Room(), Session()
    presence = watch(room, session)
    room.emit("participant_disconnected", caller(returns=False, reason=reason))
    presence.stop()
    assert session.done == ends


async def test_others_in_the_room_keep_the_call() -> None:
    room, session = Room(), Session()
    presence = watch(room, session)
    room.emit("participant_disconnected", caller(returns=True, kind=AGENT))
    room.remote_participants["second"] = caller(returns=True)
    room.emit("participant_disconnected", caller(returns=False))
    presence.stop()
    assert session.done == []


async def test_the_hang_up_button_ends_the_call() -> None:
    room, session = Room(), Session()
    presence = watch(room, session)
    assert await room.hang_up(None) == ""
    room.emit("participant_disconnected", caller(returns=True))  # and nobody waits for it
    presence.stop()
    assert session.done == ["caller_hung_up"]
