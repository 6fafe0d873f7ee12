"""Holds a scripted call and judges it, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from caller.ears import Ears
from caller.errors import CallerError
from caller.party import Heard, Party
from caller.script import Script, Turn

HANG_UP_TIMEOUT_S = 15.0
"""How long the agent may take to hang up after its goodbye."""
AGENT_TIMEOUT_S = 20.0
"""How long the agent may take to come into the room."""


@dataclass(kw_only=True)
class TurnResult:
    """What became of one turn.

    Attributes:
        said: The caller's words (or the name of its recording); empty if it only listened.
        heard: The agent's reply as the caller's own recogniser understood it.
        reply_ms: From the end of the caller's speech to the agent's first sound.
        barge_in_stop_ms: From the onset of the caller's interruption to the agent's last sound.
        cut_ins: Times the agent began while the caller spoke, and gave way.
        ok: Whether the turn went as the script wants it.
        why: If not, why not.
    """

    said: str = field(repr=False)
    heard: str = field(default="", repr=False)
    reply_ms: float | None = None
    barge_in_stop_ms: float | None = None
    cut_ins: int = 0
    ok: bool = False
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(vars(self))


@dataclass(kw_only=True)
class CallResult:
    """What became of a call.

    Attributes:
        turns: One for each turn of the script that was begun.
        ok: Whether all turns were, and the right side hung up.
        why: If not for a turn's sake, why not.
        ended: How the call ended.
        recording: Path of the stereo WAV, if one was made.
        media: How far the times can be trusted: see `docs/caller.md`.
    """

    turns: list[TurnResult] = field(default_factory=list)
    ok: bool = False
    why: str = ""
    ended: str = ""
    recording: str | None = None
    media: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, the turns as objects."""
        return {**vars(self), "turns": [turn.to_json() for turn in self.turns]}


class Progress:
    """Told what happens while it happens; every method may be overridden, none has to be."""

    def agent_came(self) -> None:
        """The agent is in the room."""

    def says(self, words: str) -> None:
        """The caller is about to speak."""

    def turn_done(self, turn: TurnResult) -> None:
        """A turn is over and judged."""

    def ended(self, result: CallResult) -> None:
        """The call is over."""


class Conversation:
    """One call after a script, on a caller that is in its room.

    Args:
        caller: In the call already.
        script: Its lines are best rendered beforehand (`Voice.prepare`).
        ears: What understands the agent; None to time only, and expect nothing.
        progress: Told as the call goes on.
        transcribe: "turn": after each reply, while nothing is timed, so that people can follow;
            "call": after the call, so that the agent's own idle time stays undisturbed too.
        agent_timeout_s: How long the agent may take to come.
    """

    def __init__(
        self,
        *,
        caller: Party,
        script: Script,
        ears: Ears | None,
        progress: Progress | None = None,
        transcribe: Literal["turn", "call"] = "turn",
        agent_timeout_s: float = AGENT_TIMEOUT_S,
    ) -> None:
        self.result = CallResult()
        self._caller = caller
        self._script = script
        self._ears = ears
        self._progress = progress or Progress()
        self._transcribe = transcribe
        self._agent_timeout_s = agent_timeout_s
        self._stutter_ms = 0.0
        self._unjudged: list[tuple[Turn, TurnResult, bytes]] = []

    async def hold(self) -> CallResult:
        """Hold the call to its end.

        Raises:
            AgentMissing: Nobody came.
            CallEnded: The call ended before the agent came.
        """
        await self._caller.wait_for_agent(self._agent_timeout_s)
        self._progress.agent_came()
        try:
            for i, turn in enumerate(self._script.turns):
                await self._take(i, turn)
        except CallerError as e:
            self._fail(str(e))
        await self._judge()
        if not self.result.why and len(self.result.turns) == len(self._script.turns):
            await self._hang_up()
        self.result.ok = not self.result.why and all(turn.ok for turn in self.result.turns)
        self.result.media = self._media()
        self._progress.ended(self.result)
        return self.result

    async def _take(self, i: int, turn: Turn) -> None:
        result = TurnResult(said=str(turn.say or (turn.wav.name if turn.wav else "")))
        self.result.turns.append(result)
        if turn.wait_s is not None:
            await self._caller.wait_for_end(turn.wait_s)
            self._unjudged.append((turn, result, b""))
            return
        await self._speak(turn)
        if self._is_interrupted(i):
            return  # the next turn brings what was heard of this one
        heard = await self._caller.hear_reply(
            silence_ms=self._script.silence_ms, timeout_s=self._script.reply_timeout_s
        )
        self._note_interrupted(i, heard)
        result.reply_ms, result.cut_ins = heard.reply_ms, heard.cut_ins
        result.barge_in_stop_ms = heard.barge_in_stop_ms
        if turn.barge_in_after_ms is not None and heard.barge_in_stop_ms is None:
            result.why = "the agent had stopped speaking before it could be interrupted"
        self._unjudged.append((turn, result, heard.pcm))
        if self._transcribe == "turn":
            await self._judge()

    async def _speak(self, turn: Turn) -> None:
        if turn.line is None:
            return
        self._progress.says(str(turn.say or turn.line))
        if turn.barge_in_after_ms is None:
            spoken = await self._caller.say(turn.line)
        else:
            spoken = await self._caller.barge_in(
                turn.line,
                after_ms=turn.barge_in_after_ms,
                timeout_s=self._script.reply_timeout_s,
            )
        self._stutter_ms = max(self._stutter_ms, spoken.stutter_ms)

    def _is_interrupted(self, i: int) -> bool:
        following = self._script.turns[i + 1 : i + 2]
        return bool(following) and following[0].barge_in_after_ms is not None

    def _note_interrupted(self, i: int, heard: Heard) -> None:
        if i == 0 or not self._is_interrupted(i - 1):
            return
        turn, result = self._script.turns[i - 1], self.result.turns[i - 1]
        if heard.before is None:
            result.why = "nothing was heard before the next turn barged in"
        else:
            result.reply_ms = heard.before.reply_ms
        self._unjudged.append((turn, result, heard.before.pcm if heard.before else b""))

    async def _judge(self) -> None:
        """Transcribe what was heard and compare it with what was expected."""
        while self._unjudged:
            turn, result, pcm = self._unjudged.pop(0)
            if pcm and self._ears:
                result.heard = await self._ears.transcribe(pcm)
            if self._ears:
                result.why = result.why or turn.unmet(result.heard)
            result.ok = not result.why
            self._progress.turn_done(result)

    def _fail(self, why: str) -> None:
        """Lay a failure at the door of the turn it came in."""
        judged = {id(result) for _, result, _ in self._unjudged}
        for result in self.result.turns:
            if not result.ok and not result.why and id(result) not in judged:
                result.why = why
                self._progress.turn_done(result)
        self.result.why = why

    async def _hang_up(self) -> None:
        if self._script.hang_up == "caller":
            if self._caller.ended.is_set():
                self.result.why = f"the caller was to hang up, but {self._caller.ended_reason}"
        elif not await self._caller.wait_for_end(HANG_UP_TIMEOUT_S):
            self.result.why = f"the agent did not hang up within {HANG_UP_TIMEOUT_S:g} s"

    def _media(self) -> dict[str, float]:
        mouth, ear = self._caller.mouth.health, self._caller.ear.health
        return {
            "sent_drift_ms": mouth.drift_ms,
            "heard_drift_ms": ear.drift_ms,
            "heard_late_ms": ear.late_ms,
            "heard_lost_ms": ear.lost_ms,
            "stutter_ms": self._stutter_ms,
            **self._caller.quality.to_json(),
        }
