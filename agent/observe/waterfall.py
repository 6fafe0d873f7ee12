"""Where a turn's time goes: from the caller's end of speech to the agent's first sound.

All times are monotonic. What the framework dates by the wall clock (when the caller fell silent,
when the first frame was played) is converted by its age at once. Inside the worker the parts are
measured; `uplink` and `downlink` are estimates (see `agent.observe.transport`). Speech ends with
the last sound before the moment at which the voice activity detector takes it to have ended.

A reply is begun ahead of the turn's end, so the stages overlap with the wait for that end. Each
part is what its stage added to what the caller waited: `commit` is only what was waited for the
turn's end when nothing else was being done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)

from .hedges import HedgedTurn, HedgeLedger
from .last_sound import LastSound
from .record import Opener, Part, TurnRecord
from .transport import Transport, TransportEstimate

logger = logging.getLogger("parley.turn")

VAD_LATE_S = 0.063
"""What Silero takes for the end of speech is later than the last sound by this much: the median of
the benchmark's lines (46 to 91 ms). It is taken off where noise hides when the voice ended."""

_JUST_OVER_S = 0.05


@dataclass
class Marks:
    """Monotonic seconds at which things happened in a turn; None for what did not."""

    ended: float | None = None
    """The caller fell silent, at the worker."""
    heard: float | None = None
    """The words came that the reply answers."""
    asked: float | None = None
    """The model was asked."""
    answered: float | None = None
    """Its first words came."""
    sent: float | None = None
    """The first clause was sent to the voice, or found among the openers."""
    voiced: float | None = None
    """The first audio came."""
    committed: float | None = None
    """The turn was known to be over."""
    played: float | None = None
    """The first frame left for the room."""


def parts_of(marks: Marks, transport: Transport) -> tuple[Part, ...]:
    """The parts of a turn, which sum to what the caller waited. `ended` and `played` are needed.

    A mark that is missing or out of order (a partial may come before the voice activity detector
    has made up its mind) takes no time.
    """
    assert marks.ended is not None
    assert marks.played is not None
    end = marks.played
    times = [marks.ended]
    for mark in (marks.heard, marks.asked, marks.answered, marks.sent, marks.voiced):
        times.append(min(end, times[-1] if mark is None else max(mark, times[-1])))
    ended, heard, asked, answered, sent, voiced = times
    ready = min(end, max(voiced, marks.committed or voiced))
    return (
        Part(name="uplink", ms=transport.uplink_ms),
        Part(name="stt", ms=(heard - ended) * 1000),
        Part(name="commit", ms=(asked - heard + ready - voiced) * 1000),
        Part(name="llm", ms=(answered - asked) * 1000),
        Part(name="clause", ms=(sent - answered) * 1000),
        Part(name="tts", ms=(voiced - sent) * 1000),
        Part(name="output", ms=(end - ready) * 1000),
        Part(name="downlink", ms=transport.downlink_ms),
    )


@dataclass
class _Turn:
    """The turn that is being answered, or will be."""

    message: str = ""
    """Id of the caller's message that is being answered."""
    marks: Marks = field(default_factory=Marks)
    opener: Opener = "none"
    characters_saved: int = 0
    tools: list[str] = field(default_factory=list)
    requests: int = 0
    replied: bool = False
    interrupted: bool = False
    routes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def served(self, stage: str, route: str) -> None:
        """A route serves a stage of the turn, perhaps after another one."""
        before = self.routes.get(stage, ())
        if before[-1:] != (route,):
            self.routes[stage] = (*before, route)


class Waterfall:
    """Makes a record of every turn of a session.

    The session tells most of it; the agent's nodes tell `asked`, `answered`, `opening`, `voiced`.

    Args:
        session: The call's session.
        on_record: Told every turn, when its reply has ended.
        transport: The estimate of the way to the caller; None: no estimate, zero.
        hedges: Knows what hedged requests cost; None: there are none.
        clock: Monotonic seconds.
        wall: Wall clock seconds, as the framework's events have them.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        on_record: Callable[[TurnRecord], None],
        *,
        transport: TransportEstimate | None = None,
        hedges: HedgeLedger | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._on_record = on_record
        self._transport = transport
        self._hedges = hedges
        self._clock = clock
        self._wall = wall
        self._count = 0
        self._listening = True
        self._sound = LastSound(clock=clock)
        self._ended: float | None = None
        self._heard: float | None = None
        self._next = _Turn()  # not over yet; may be answered ahead
        self._turn: _Turn | None = None  # over, its reply not
        self._asking = self._next  # what the model and the voice are working on
        self._refreshing: asyncio.Task[None] | None = None
        self._ears = ""  # the route that hears, turn after turn
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_transcript)
        session.on("conversation_item_added", self._on_item)
        session.on("agent_state_changed", self._on_agent_state)
        session.on("function_tools_executed", self._on_tools)

    def hear(self, frame: rtc.AudioFrame) -> None:
        """Note when the caller falls silent."""
        self._sound.push(frame)

    def asked(self, message_id: str) -> None:
        """The model is asked to answer a message; a request for another one was in vain."""
        turn = self._turn if self._turn and self._turn.message == message_id else self._next
        turn.requests += 1
        if turn.message != message_id or turn.marks.asked is None:
            turn.message = message_id
            turn.opener, turn.characters_saved = "none", 0
            turn.routes = {stage: names for stage, names in turn.routes.items() if stage == "stt"}
            heard = turn.marks.heard if turn is self._turn else self._heard
            turn.marks = replace(
                turn.marks, heard=heard, asked=self._clock(), answered=None, sent=None, voiced=None
            )
        self._asking = turn

    def answered(self) -> None:
        """Words of the answer are there."""
        marks = self._asking.marks
        marks.answered = marks.answered or self._clock()

    def acknowledged(self) -> None:
        """The reply begins without the model.

        At the turn's end, nothing but that end was waited for; later, a model that uses tools.
        """
        marks = self._asking.marks
        if marks.sent is None:
            self._asking.opener = "acknowledged"
            over = marks.committed is None or self._clock() - marks.committed < _JUST_OVER_S
            marks.answered = marks.sent = marks.voiced = marks.asked if over else self._clock()

    def served(self, stage: str, route: str) -> None:
        """A route of a chain has begun to serve a stage.

        Args:
            stage: "stt", "llm" or "tts".
            route: Its name.
        """
        if stage == "stt":
            self._ears = route
            self._next.served(stage, route)
        else:
            self._asking.served(stage, route)

    def opening(self, kind: Opener, characters_saved: int) -> None:
        """The reply begins with kept audio, or does not."""
        turn = self._asking
        if turn.marks.sent is None:
            turn.opener, turn.characters_saved = kind, characters_saved
            if kind == "hit":
                turn.marks.sent = turn.marks.voiced = self._clock()

    def voiced(self, sent_s_ago: float | None) -> None:
        """Audio is there.

        Args:
            sent_s_ago: Seconds since the voice was sent the first text; None if nobody knows.
        """
        marks = self._asking.marks
        if marks.voiced is None:
            marks.voiced = self._clock()
            marks.sent = marks.voiced - (sent_s_ago or 0.0)

    async def aclose(self) -> None:
        """Stop reading statistics."""
        if self._refreshing:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._ended = None
            if self._listening:  # an interruption is in a hurry, too
                self._refresh_transport()
        elif event.old_state == "speaking":
            by_vad = self._clock() - max(0.0, self._wall() - event.created_at)
            by_sound = self._sound.before(by_vad)
            self._ended = by_vad - VAD_LATE_S if by_sound is None else by_sound

    def _refresh_transport(self) -> None:
        """Read the statistics while the caller speaks: it takes time that nobody waits for then."""
        if self._transport and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._transport.refresh(), name="rtc stats")

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        self._heard = self._clock()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage):
            return
        if item.role == "user":
            self._commit(item.id)
        elif item.role == "assistant" and self._turn:
            self._turn.replied = True
            self._turn.interrupted |= item.interrupted
            self._finish()

    def _commit(self, message_id: str) -> None:
        turn, self._next = self._next, _Turn()
        if self._ears:
            turn.routes.setdefault("stt", (self._ears,))
        if turn.message != message_id:  # nothing was asked ahead, or in vain
            turn.message = message_id
            turn.marks = Marks()
        marks = turn.marks
        marks.committed, marks.ended = self._clock(), self._ended
        marks.heard = marks.heard or self._heard
        self._turn = turn
        self._ended = self._heard = None

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        self._listening = event.new_state == "listening"
        if event.new_state == "speaking" and self._turn and self._turn.marks.played is None:
            self._turn.marks.played = self._clock() - max(0.0, self._wall() - event.created_at)
        self._finish()

    def _on_tools(self, event: FunctionToolsExecutedEvent) -> None:
        if self._turn:
            self._turn.tools += [call.name for call in event.function_calls]

    def _finish(self) -> None:
        """Tell the record once the reply is over: said, and nothing more of it to come."""
        turn = self._turn
        if turn is None or not turn.replied or not self._listening:
            return
        self._turn = None
        if turn.marks.ended is None or turn.marks.played is None:
            return  # typed, or never answered aloud
        self._count += 1
        transport = self._transport.now if self._transport else Transport()
        parts = parts_of(turn.marks, transport)
        hedged = self._hedges.take_turn() if self._hedges else HedgedTurn()
        record = TurnRecord(
            turn=self._count,
            total_ms=sum(part.ms for part in parts),
            parts=parts,
            opener=turn.opener,
            characters_saved=turn.characters_saved,
            llm_requests=turn.requests,
            hedged_requests=hedged.requests,
            hedged_tokens=hedged.tokens,
            interrupted=turn.interrupted,
            tools=tuple(turn.tools),
            routes=dict(turn.routes),
        )
        logger.info("turn", extra=record.as_dict())
        self._on_record(record)
