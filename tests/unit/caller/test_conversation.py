from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from caller.clock import ClockHealth
from caller.conversation import CallResult, Conversation, Progress, TurnResult
from caller.ears import Ears
from caller.errors import NoReply
from caller.expect import Phrase
from caller.mouth import Spoken
from caller.party import Heard
from caller.quality import Quality
from caller.room import Caller
from caller.script import Script, Turn

HEALTH = ClockHealth(drift_ms=0.1, late_ms=3.0, holes=0, lost_ms=0.0)


def heard(words: str, **fields: object) -> Heard:
    values: dict[str, object] = {"onset_s": 2.0, "end_s": 3.0, "reply_ms": 640.0, **fields}
    return Heard(pcm=words.encode(), **values)  # type: ignore[arg-type]


@dataclass
class Part:
    """One side of the fake caller's stream health."""

    health: ClockHealth = HEALTH


@dataclass
class FakeCaller:
    """Replays replies; its recogniser reads the words that stand in for sound."""

    replies: list[Heard | Exception]
    hangs_up: bool = True
    did: list[str] = field(default_factory=list)
    ended_reason: str = "the agent hung up"
    mouth: Part = field(default_factory=Part)
    ear: Part = field(default_factory=Part)
    quality: Quality = field(default_factory=Quality)

    @property
    def ended(self) -> FakeCaller:
        return self

    def is_set(self) -> bool:
        return self.hangs_up and not self.replies

    async def wait_for_agent(self, timeout_s: float) -> None:
        self.did.append(f"wait {timeout_s:g}")

    async def wait_for_end(self, timeout_s: float) -> bool:
        self.did.append(f"quiet {timeout_s:g}")
        return self.is_set()

    async def say(self, words: str | Path) -> Spoken:
        self.did.append(f"say {words}")
        return Spoken(said=str(words), onset_s=0.0, end_s=1.0, stutter_ms=4.0)

    async def barge_in(self, words: str | Path, *, after_ms: float, timeout_s: float) -> Spoken:
        self.did.append(f"barge in {words} after {after_ms:g}")
        return Spoken(said=str(words), onset_s=0.0, end_s=1.0, stutter_ms=0.0)

    async def hear_reply(self, *, silence_ms: float, timeout_s: float) -> Heard:
        self.did.append("hear")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Reader:
    """A recogniser for words written as bytes."""

    def transcribe(self, pcm: bytes) -> str:
        return pcm.decode()


class Log(Progress):
    def __init__(self) -> None:
        self.done: list[TurnResult] = []

    def turn_done(self, turn: TurnResult) -> None:
        self.done.append(turn)


async def hold(
    caller: FakeCaller, *turns: Turn, hang_up: str = "caller", progress: Log | None = None
) -> CallResult:
    ears = Ears(recognizer=Reader())
    script = Script(turns=turns, hang_up="agent" if hang_up == "agent" else "caller")
    conversation = Conversation(
        caller=cast(Caller, caller), script=script, ears=ears, progress=progress
    )
    try:
        return await conversation.hold()
    finally:
        ears.close()


async def test_a_good_call() -> None:
    caller = FakeCaller([heard("Hello there.", reply_ms=None), heard("It has shipped.")])
    log = Log()
    result = await hold(
        caller,
        Turn(listen=True, expect=(Phrase("hello"),)),
        Turn(say="Where is it?", expect=(Phrase("shipped"),)),
        Turn(wait_s=2.0),
        hang_up="agent",
        progress=log,
    )
    assert result.ok
    assert log.done == result.turns
    assert [turn.heard for turn in result.turns] == ["Hello there.", "It has shipped.", ""]
    assert [turn.reply_ms for turn in result.turns] == [None, 640.0, None]
    assert caller.did == ["wait 20", "hear", "say Where is it?", "hear", "quiet 2", "quiet 15"]
    assert result.media["stutter_ms"] == 4.0
    assert set(result.to_json()["turns"][0]) == {
        "said", "heard", "reply_ms", "barge_in_stop_ms", "cut_ins", "ok", "why",
    }  # fmt: skip


async def test_an_expectation_that_is_not_met() -> None:
    caller = FakeCaller([heard("I do not know."), heard("Bye.")], hangs_up=False)
    result = await hold(
        caller, Turn(say="Where is it?", expect=(Phrase("shipped"),)), Turn(say="Bye.")
    )
    assert not result.ok
    assert [turn.ok for turn in result.turns] == [False, True]
    assert result.turns[0].why == "expected to hear 'shipped'"


async def test_an_interrupted_turn_gets_what_was_heard_of_it() -> None:
    story = heard("Once upon a", reply_ms=700.0)
    caller = FakeCaller(
        [heard("Booked.", reply_ms=500.0, barge_in_stop_ms=310.0, before=story)], hangs_up=False
    )
    result = await hold(
        caller,
        Turn(say="Tell a story.", expect=(Phrase("once upon"),)),
        Turn(say="Stop.", barge_in_after_ms=900, expect=(Phrase("booked"),)),
    )
    assert result.ok
    assert caller.did == ["wait 20", "say Tell a story.", "barge in Stop. after 900", "hear"]
    first, second = result.turns
    assert (first.heard, first.reply_ms, first.barge_in_stop_ms) == ("Once upon a", 700.0, None)
    assert (second.heard, second.reply_ms, second.barge_in_stop_ms) == ("Booked.", 500.0, 310.0)


async def test_a_barge_in_that_came_too_late() -> None:
    short = heard("No.", reply_ms=700.0)
    caller = FakeCaller([heard("Booked.", before=short)], hangs_up=False)
    result = await hold(caller, Turn(say="Tell a story."), Turn(say="Stop.", barge_in_after_ms=900))
    assert not result.ok
    assert result.turns[0].ok
    assert "had stopped speaking before" in result.turns[1].why


async def test_no_reply_ends_the_call_and_earlier_turns_stay_judged() -> None:
    caller = FakeCaller([heard("Hello."), NoReply("The agent said nothing for 20 s.")])
    result = await hold(
        caller, Turn(listen=True), Turn(say="Well?"), Turn(say="Never said."), hang_up="agent"
    )
    assert not result.ok
    assert [(turn.ok, turn.why) for turn in result.turns] == [
        (True, ""),
        (False, "The agent said nothing for 20 s."),
    ]
    assert result.why == "The agent said nothing for 20 s."
    assert "quiet 15" not in caller.did


@pytest.mark.parametrize(
    ("hang_up", "hangs_up", "why"),
    [
        ("agent", False, "the agent did not hang up within 15 s"),
        ("caller", True, "the caller was to hang up, but the agent hung up"),
    ],
)
async def test_the_right_side_hangs_up(hang_up: str, hangs_up: bool, why: str) -> None:
    caller = FakeCaller([heard("Bye.")], hangs_up=hangs_up)
    result = await hold(caller, Turn(say="Bye."), hang_up=hang_up)
    assert not result.ok
    assert result.why == why
