"""What a caller does whatever it calls with: it speaks, hears, interrupts, and times all of it."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from caller.activity import Utterance
from caller.clock import ClockHealth
from caller.errors import CallEnded, NoReply
from caller.listening import Listening
from caller.mouth import Spoken
from caller.voice import Line, Voice

SILENCE_MS = 700
"""Silence that ends the agent's utterance: longer than a pause between its sentences."""
STOP_SILENCE_MS = 500
"""Silence after which an interrupted agent counts as silent; the stop is its last sound before."""
BUSY_SILENCE_MS = 5_000
"""Silence that ends an utterance even though the agent says (`lk.agent.state`) that it is still
thinking or speaking: a tool may take this long in the middle of a reply."""
REPLY_TIMEOUT_S = 20.0
"""How long the agent may take to begin."""
LONGEST_REPLY_S = 60.0
"""How long it may speak."""

VOICE_GONE_S = 2.0
"""After the agent's voice is gone, the time within which the room says why."""

BUSY_STATES = ("thinking", "speaking")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An utterance of the agent at the caller's ear.

    Attributes:
        onset_s: Its first sound, seconds of `time.monotonic`.
        end_s: Its last sound.
        reply_ms: From the end of the caller's speech to `onset_s`; negative if the agent did not
            let the caller finish; None if it answers nothing (a greeting).
        barge_in_stop_ms: From the onset of the caller's interruption to the agent's last sound
            before it fell silent; None if nothing was interrupted.
        cut_ins: Times that the agent began while the caller spoke and gave way again.
        before: What the agent had said after the caller's line before, when the caller spoke
            without having heard it out: the reply that was interrupted.
        pcm: How it sounded, s16le mono 16 kHz.
    """

    onset_s: float
    end_s: float
    reply_ms: float | None
    barge_in_stop_ms: float | None = None
    cut_ins: int = 0
    before: Heard | None = None
    pcm: bytes = field(repr=False)


class Microphone(Protocol):
    """What speaks lines and knows when each word left. `caller.mouth.Mouth` is one."""

    @property
    def health(self) -> ClockHealth:
        """How steady the timeline of what was sent is."""

    async def speak(self, line: Line, *, not_before: float = 0.0) -> Spoken:
        """Say a line in real time and return when all of it has left."""


class Counters(Protocol):
    """What is known about how the agent's voice came through."""

    def to_json(self) -> dict[str, float]:
        """The counters by name."""


class Party(ABC):
    """The caller's end of a call.

    `caller.room.Caller` joins a room, `caller.phone.PhoneCaller` dials a number.

    Args:
        voice: What it speaks with.
    """

    mouth: Microphone
    """What it speaks into; there from the moment it is in the call."""
    ear: Listening
    """What it listens with, likewise."""
    quality: Counters
    """How well the agent's voice comes through."""

    def __init__(self, *, voice: Voice) -> None:
        self.ended = asyncio.Event()
        """Set when the call is over; `ended_reason` says why."""
        self.ended_reason = ""
        self.voice = voice
        self._spoken: Spoken | None = None  # the line that the agent has yet to answer
        self._earlier: Spoken | None = None  # the line before, if it was not yet answered either
        self._accounted = float("-inf")  # sound before this has been returned to the user

    @abstractmethod
    async def wait_for_agent(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Wait until the agent can be heard."""

    async def say(self, words: str | Path, *, not_before: float = 0.0) -> Spoken:
        """Speak a text, or a WAV file given as a `Path`, and return when it has been said.

        What was not rendered before (`Voice.prepare`) is rendered first.

        Args:
            words: What to say.
            not_before: Time (seconds, monotonic) at which the speech shall begin.

        Raises:
            CallEnded: The agent hung up first.
            CallerError: There is nothing to say, or it could not be sent.
        """
        line = await self.voice.line(words)
        if self.ended.is_set():
            raise CallEnded(f"The call had ended before the caller spoke: {self.ended_reason}.")
        spoken = await self.mouth.speak(line, not_before=not_before)
        self._earlier, self._spoken = self._spoken, spoken
        return spoken

    async def barge_in(
        self, words: str | Path, *, after_ms: float, timeout_s: float = REPLY_TIMEOUT_S
    ) -> Spoken:
        """Speak over the agent, `after_ms` after the first sound of its next utterance.

        `hear_reply` then tells what was interrupted and how fast the agent fell silent. If the
        agent says less than `after_ms`, the line is spoken all the same and interrupts nothing.

        Raises:
            NoReply: The agent did not begin to speak within `timeout_s`.
            CallEnded: The agent hung up first.
        """
        await self.voice.line(words)
        earlier = self._spoken
        after = max(self._accounted, earlier.onset_s) if earlier else self._accounted
        begun = await self._begun(after, timeout_s)
        return await self.say(words, not_before=begun.start + after_ms / 1000)

    async def hear_reply(
        self, *, silence_ms: float = SILENCE_MS, timeout_s: float = REPLY_TIMEOUT_S
    ) -> Heard:
        """Wait for the agent's next utterance to begin and to end.

        Next is what follows the caller's last line; with no line since the last utterance heard,
        what follows that (a greeting, an afterthought). It has ended after `silence_ms` of silence,
        unless the agent says that it is still thinking or speaking (then `BUSY_SILENCE_MS`), or
        when the agent hung up.

        Args:
            silence_ms: Silence that ends the utterance.
            timeout_s: How long the agent may take to begin (or, interrupted, to fall silent).

        Raises:
            NoReply: It did not begin, stop or end in time.
            CallEnded: The agent hung up and said nothing before.
        """
        spoken, before, stop_ms = self._spoken, None, None
        if spoken and (was := await self._before(spoken, timeout_s)):
            before = was
            if before.end_s > spoken.onset_s:  # else it had stopped by itself
                stop_ms = _ms(before.end_s - spoken.onset_s)
            self._accounted = before.end_s
        begun, cut_ins = await self._reply_begun(spoken, silence_ms / 1000, timeout_s)
        reply = await self._finished(begun.start, silence_ms / 1000)
        self._spoken = self._earlier = None
        self._accounted = reply.end
        await self._sample_quality()
        return Heard(
            onset_s=reply.start,
            end_s=reply.end,
            reply_ms=_ms(reply.start - spoken.end_s) if spoken else None,
            barge_in_stop_ms=stop_ms,
            cut_ins=cut_ins,
            before=before,
            pcm=self.ear.audio(reply.start, reply.end),
        )

    @property
    def agent_state(self) -> str | None:
        """What the agent says it does, as in "listening"; None where nothing tells."""
        return None

    async def wait_for_end(self, timeout_s: float) -> bool:
        """Whether the call ends within `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), timeout_s)
        return self.ended.is_set()

    async def _begun(self, after: float, timeout_s: float) -> Utterance:
        def begun() -> Utterance | bool | None:
            return self.ear.activity.utterance(after, silence_s=0.0) or self._over() or None

        found = await self.ear.until(begun, timeout_s=timeout_s)
        if found is None:
            raise NoReply(f"The agent said nothing for {timeout_s:g} s.")
        if not isinstance(found, Utterance):
            await self.wait_for_end(VOICE_GONE_S)
            why = self.ended_reason or "its voice is no longer published"
            raise CallEnded(f"The call ended before the agent spoke: {why}.")
        return found

    async def _finished(self, start: float, silence_s: float) -> Utterance:
        going_on = start  # an agent that thinks or speaks in a pause has not finished

        def finished() -> Utterance | None:
            nonlocal going_on
            heard = self.ear.activity
            utterance = heard.utterance(start, silence_s=silence_s, going_on=going_on)
            if utterance is None:
                return None
            busy = self.agent_state in BUSY_STATES
            going_on = utterance.end if busy else going_on
            enough = BUSY_SILENCE_MS / 1000 if busy else silence_s
            done = utterance.ended and utterance.silence >= enough
            return utterance if done or self._over() else None

        found = await self.ear.until(finished, timeout_s=LONGEST_REPLY_S)
        if found is None:
            raise NoReply(f"The agent did not stop speaking for {LONGEST_REPLY_S:g} s.")
        return found

    async def _before(self, spoken: Spoken, timeout_s: float) -> Heard | None:
        """What the agent said between the line before and `spoken`, once it is silent after it."""
        earlier, activity = self._earlier, self.ear.activity
        after = max(self._accounted, earlier.onset_s) if earlier else self._accounted
        whole = activity.utterance(after, silence_s=0.0)
        if whole is None or whole.start >= spoken.onset_s:
            return None
        # Pauses before may have been long: the stop is looked for from the interruption on.
        around = activity.last_sound_before(spoken.onset_s)

        def silent() -> Utterance | None:
            utterance = activity.utterance(around, silence_s=STOP_SILENCE_MS / 1000)
            return utterance if utterance and (utterance.ended or self._over()) else None

        stopped = await self.ear.until(silent, timeout_s=timeout_s)
        if stopped is None:
            raise NoReply(f"The agent spoke on for {timeout_s:g} s after it was interrupted.")
        return Heard(
            onset_s=whole.start,
            end_s=stopped.end,
            reply_ms=_ms(whole.start - earlier.end_s) if earlier else None,
            pcm=self.ear.audio(whole.start, stopped.end),
        )

    async def _reply_begun(
        self, spoken: Spoken | None, silence_s: float, timeout_s: float
    ) -> tuple[Utterance, int]:
        """The beginning of the reply, passing over sound that gave way to the caller's speech."""
        after = max(self._accounted, spoken.onset_s) if spoken else self._accounted
        cut_ins = 0
        while True:
            begun = await self._begun(after, timeout_s)
            if spoken is None or begun.start >= spoken.end_s:
                return begun, cut_ins
            whole = await self._finished(begun.start, silence_s)
            if whole.end >= spoken.end_s:
                return begun, cut_ins
            cut_ins, after = cut_ins + 1, whole.end

    @abstractmethod
    async def _sample_quality(self) -> None:
        """Bring `quality` up to date, where that takes asking."""

    def _over(self) -> bool:
        return self.ended.is_set()

    def _end(self, reason: str) -> None:
        if not self.ended.is_set():
            self.ended_reason = reason
            self.ended.set()
            self.ear.wake()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
