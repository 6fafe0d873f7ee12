"""One call with one contestant: each turn spoken, heard and timed at the caller's ear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

from bench.lines import NOISES, Lines, Step
from bench.results import Turn
from caller.activity import Span
from caller.errors import NoReply
from caller.mouth import Spoken
from caller.party import Heard, Party

NOISE_AFTER_S = 0.7
"""From the reply's onset to the first noise."""
NOISE_EVERY_S = 2.5
"""From each noise to the next: a reply that was paused is long resumed by then."""
BARGE_AFTER_MS = 1000.0
"""From the reply's onset to the interruption."""
STOP_S = 1.0
"""Silence after a noise that counts as a reply stopped."""
ENOUGH_LEFT_S = 0.5
"""A silence that begins later than this before the reply's own end is that end."""
CALM_S = 1.0
"""Silence before the next line, after a turn in which something happened: longer than a reply's
inner pauses."""
CALM_TIMEOUT_S = 12.0
MAX_STUTTER_MS = 20.0
"""A line that left the microphone with more of a gap than this is not worth timing."""
CHAR_S = 0.06
"""Audio of one character at the sim voice's default pace."""


class Conversation:
    """Holds the call's turns one after the other.

    Args:
        caller: In the room already.
        lines: What is said.
        requests: Says how many chat requests the gateway has seen.
    """

    def __init__(
        self, caller: Party, *, lines: Lines, requests: Callable[[], Awaitable[int]]
    ) -> None:
        self._caller = caller
        self._lines = lines
        self._requests = requests

    async def hold(self, steps: Sequence[Step], heard: Callable[[Turn], None]) -> None:
        """Take every turn; each one is told to `heard`, also one that got no reply.

        Raises:
            CallEnded: The agent hung up.
        """
        await self._caller.voice.prepare(self._lines.audio.values())
        for step in steps:
            before = await self._requests()
            try:
                turn = await self._turn(step)
            except NoReply:
                turn = Turn(kind=step.kind, failed=True)
            if turn.failed or turn.kind != "plain":
                await self._calm()
            turn.llm_requests = await self._requests() - before
            heard(turn)

    async def _turn(self, step: Step) -> Turn:
        match step.kind:
            case "plain":
                return await self._plain(step)
            case "pause":
                return await self._pause(step)
            case "noise":
                return await self._noise(step)
            case "barge":
                return await self._barge(step)

    async def _plain(self, step: Step) -> Turn:
        spoken = await self._say(step.says)
        reply = await self._caller.hear_reply()
        return Turn(kind="plain", heard_ms=_time(reply, spoken))

    async def _pause(self, step: Step) -> Turn:
        await self._say(step.says)
        reply = await self._caller.hear_reply()
        early = reply.cut_ins > 0 or (reply.reply_ms or 0.0) < 0
        return Turn(kind="pause", cut_off=early)

    async def _noise(self, step: Step) -> Turn:
        spoken = await self._say(step.says)
        begun = await self._begun(spoken.end_s)
        made: list[float] = []
        for number, noise in enumerate(NOISES):
            line = await self._caller.voice.line(self._lines.audio[noise])
            not_before = begun + NOISE_AFTER_S + number * NOISE_EVERY_S
            made.append((await self._caller.mouth.speak(line, not_before=not_before)).onset_s)
        reply = await self._caller.hear_reply(silence_ms=1200 * STOP_S)
        ends = begun + CHAR_S * len(step.reply)
        stopped = stopped_by(self._caller.ear.activity.spans, made, ends_s=ends)
        return Turn(kind="noise", heard_ms=_time(reply, spoken), stopped=stopped)

    async def _barge(self, step: Step) -> Turn:
        spoken = await self._say(step.says)
        words = self._lines.audio[step.then]
        await self._caller.barge_in(words, after_ms=BARGE_AFTER_MS)
        reply = await self._caller.hear_reply()
        first = reply.before
        return Turn(
            kind="barge",
            heard_ms=_time(first, spoken) if first else None,
            stop_ms=reply.barge_in_stop_ms,
        )

    async def _say(self, words: str) -> Spoken:
        return await self._caller.say(self._lines.audio[words])

    async def _begun(self, after: float, timeout_s: float = 20.0) -> float:
        """When the agent's next sound begins."""
        found = await self._caller.ear.until(
            lambda: self._caller.ear.activity.utterance(after, silence_s=0.0), timeout_s=timeout_s
        )
        if found is None:
            raise NoReply(f"The agent said nothing for {timeout_s:g} s.")
        return found.start

    async def _calm(self) -> None:
        """Let what is still being said (a resumed reply, an answer to a murmur) come to its end."""
        activity = self._caller.ear.activity

        def calm() -> bool | None:
            spans = activity.spans
            return not spans or activity.heard_until - spans[-1].end >= CALM_S or None

        await self._caller.ear.until(calm, timeout_s=CALM_TIMEOUT_S)


def _time(reply: Heard, spoken: Spoken) -> float | None:
    """The reply time; None when the line was torn, or the reply began before its end."""
    if spoken.stutter_ms > MAX_STUTTER_MS:
        return None
    return round((reply.onset_s - spoken.end_s) * 1000, 1)


def stopped_by(spans: Sequence[Span], noises: Sequence[float], *, ends_s: float) -> list[bool]:
    """Whether each noise made the reply fall silent for `STOP_S`, well before its own end.

    What comes after a reply was stopped is not judged: there was nothing left to stop.

    Args:
        spans: The agent's sound.
        noises: When they began.
        ends_s: When the reply ends if nothing pauses it.
    """
    ends = [span.end for span in spans]
    starts = [*(span.start for span in spans[1:]), float("inf")]
    silences = [end for end, start in zip(ends, starts, strict=True) if start - end >= STOP_S]
    stopped: list[bool] = []
    for noise, following in pairwise([*noises, float("inf")]):
        early = [at for at in silences if noise <= at < min(following, ends_s - ENOUGH_LEFT_S)]
        stopped.append(bool(early))
        if early:
            break
    return stopped
