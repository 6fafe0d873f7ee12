"""Guards a reply: the nodes of the agent ask the model and the voice through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TypeVar

from livekit import rtc
from livekit.agents import APIError, FlushSentinel, llm

from ..observe.events import GuardAction, guard_acted
from ..speech.phrases import PhraseCache, frames_of, recorded_apology, recorded_filler
from .deadline import Lapse, LapseKind, TurnClock, guarded
from .settings import GuardSettings

_T = TypeVar("_T")
_Chunk = llm.ChatChunk | str | FlushSentinel


class ReplyGuard:
    """Sees to it that a turn is answered: by the model, by a filler, or by an apology.

    Args:
        settings: Deadlines, limits and phrases.
        phrases: The phrases as audio, which need no voice to be said.
    """

    def __init__(self, *, settings: GuardSettings, phrases: PhraseCache) -> None:
        self._settings = settings
        self._phrases = phrases
        self._clock = self._new_clock("", begun_at=0.0)
        self._committed = ""
        self._failed_turns = 0
        self._apologising = False

    @property
    def exhausted(self) -> bool:
        """Whether so many turns failed in a row that the call should end."""
        return self._failed_turns >= self._settings.max_failed_turns

    async def words(
        self, turn_id: str, ask: Callable[[], AsyncIterator[_Chunk]]
    ) -> AsyncIterator[_Chunk]:
        """The model's answer, or what is said in its place.

        Args:
            turn_id: The caller's message being answered; requests after a tool belong to it too.
            ask: Makes the request.
        """
        answer: AsyncIterator[_Chunk | Lapse] = guarded(ask(), self._clock_of(turn_id))
        async for chunk in answer:
            if not isinstance(chunk, Lapse):
                yield chunk
            elif phrase := self._filler(chunk, stage="llm"):
                yield phrase
                yield FlushSentinel()  # said now, not when the sentence after it is complete
            elif chunk.kind is LapseKind.BROKE_OFF:
                self._count_failure()
                guard_acted(GuardAction.BROKE_OFF, stage="llm", error=chunk.error)
                yield f" … {self._settings.broke_off}"
            else:
                yield self._fail("llm", chunk.error)

    async def audio(
        self,
        text: AsyncIterable[str],
        synthesize: Callable[[AsyncIterable[str]], AsyncIterator[rtc.AudioFrame]],
    ) -> AsyncIterator[rtc.AudioFrame]:
        """The voice's audio of a text, from memory when all of it is a phrase that is kept there.

        Args:
            text: Pieces of the text as they come.
            synthesize: Asks the voice.
        """
        pieces = aiter(text)
        opening = await anext(pieces, "")
        if kept := self._phrases.get(opening):
            async for frame in frames_of(kept):
                yield frame
            opening = ""
        if opening := opening or await anext(pieces, ""):
            async for frame in self._spoken(synthesize(_chained(opening, pieces))):
                yield frame

    async def _spoken(self, source: AsyncIterator[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        clock = self._voice_clock()
        audio = guarded(source, clock, seconds=lambda frame: frame.duration)
        async for item in audio:
            if not isinstance(item, Lapse):
                self._clock.heard_at = asyncio.get_running_loop().time()
                yield item
            elif phrase := self._filler(item, stage="tts"):
                for part in self._phrases.get(phrase) or recorded_filler():
                    yield part
            else:
                for part in self._apology("tts", item.error):
                    yield part

    def opened(self, audio: Iterable[rtc.AudioFrame]) -> None:
        """The answer begins with kept audio: the caller waits again once that has been heard."""
        if seconds := sum(frame.duration for frame in audio):
            self._clock.sounded(asyncio.get_running_loop().time(), seconds)

    def _filler(self, lapse: Lapse, *, stage: str) -> str:
        """What is said about a lapse while the answer is still awaited; else nothing."""
        if lapse.kind not in (LapseKind.SLOW, LapseKind.STILL_SLOW):
            return ""
        guard_acted(GuardAction.FILLER, stage=stage)
        again = lapse.kind is LapseKind.STILL_SLOW
        return self._settings.filler_again if again else self._settings.filler

    def _voice_clock(self) -> TurnClock:
        """The clock for the voice: the turn's own while the caller has heard nothing of its answer.

        What is said after that, or by itself as a greeting is, has a clock of its own.
        """
        now = asyncio.get_running_loop().time()
        if self._clock.heard_at is not None or not self._clock.turn_id:
            return self._new_clock("", begun_at=now, committed_at=now)
        # However late the words came, the voice gets a moment to say them.
        voice_s = self._clock.budget.voice_s
        self._clock.extra_s += max(0.0, now + voice_s - self._clock.give_up_at())
        return self._clock

    def heard_reply(self) -> bool:
        """Note that the caller heard a reply, after which earlier failures no longer count.

        Returns:
            False if it was an apology: that tells of nothing, and is one more failure.
        """
        answered, self._apologising = not self._apologising, False
        if answered:
            self._failed_turns = 0
        return answered

    def phrase(self, text: str) -> list[rtc.AudioFrame]:
        """A phrase as audio; the recorded apology while it was never synthesised."""
        return self._phrases.get(text) or recorded_apology()

    def _fail(self, stage: str, error: APIError | None) -> str:
        self._count_failure()
        action = GuardAction.GIVE_UP if self.exhausted else GuardAction.APOLOGY
        guard_acted(action, stage=stage, error=error)
        return self._settings.give_up if self.exhausted else self._settings.apology

    def _count_failure(self) -> None:
        self._failed_turns += 1
        self._apologising = True

    def _apology(self, stage: str, error: APIError | None) -> list[rtc.AudioFrame]:
        return self.phrase(self._fail(stage, error))

    def committed(self, turn_id: str) -> None:
        """The turn has ended: from now on the caller waits for its answer."""
        self._committed = turn_id
        if self._clock.turn_id == turn_id:
            self._clock.committed_at = asyncio.get_running_loop().time()

    def begin_again(self) -> None:
        """The turn's time begins anew: a tool took long, and the caller knows why."""
        self._clock.filled_at = None
        if self._clock.committed_at is not None:
            self._clock.committed_at = asyncio.get_running_loop().time()

    def _clock_of(self, turn_id: str) -> TurnClock:
        if turn_id != self._clock.turn_id or not turn_id:
            now = asyncio.get_running_loop().time()
            # said by itself, or begun only after the turn's end
            committed_at = now if turn_id == self._committed else None
            self._clock = self._new_clock(turn_id, begun_at=now, committed_at=committed_at)
        return self._clock

    def _new_clock(
        self, turn_id: str, *, begun_at: float, committed_at: float | None = None
    ) -> TurnClock:
        return TurnClock(
            turn_id=turn_id,
            begun_at=begun_at,
            budget=self._settings.budget,
            committed_at=committed_at,
        )


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece
