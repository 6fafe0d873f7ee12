"""A reply's words, shown when they are heard: captions, and the history of who was interrupted.

The framework estimates the pace from the spectrum of what is said, a tenth of a second of CPU for
each second of speech (measured). Here the words of a reply share its voiced time by their letters:
exactly, once all of it has come, and before that at the pace of what the voice said last.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator

from livekit.agents import utils
from livekit.agents.voice import io, room_io

from .playout import Playback, Playout

PACED = room_io.TextOutputOptions(sync_transcription=False)
"""For a room: what is shown comes paced, and is sent at once."""

_USUAL_RATE = 19.0
"""Letters in a second of voice, before the call's own voice has said anything (Piper: 19 to 21)."""
_DIGIT = 4.0
"""Letters that are heard for a digit."""
_LEARNED_FROM_S = 1.0
"""Voice that must have been heard to know its pace."""
_LEAST_WAIT_S = 0.02
"""Where the voice comes slower than it is heard, a word that is due may not be there yet."""

_WORD = re.compile(r"\s*(?:[^\s\u3040-\u9fff]+|[\u3040-\u9fff])")
"""A word with the space before it; scripts without spaces are shown sign by sign."""


class Captions:
    """Paces what is shown of replies; knows how fast the call's voice speaks."""

    def __init__(self) -> None:
        self._rate = _USUAL_RATE

    def follow(self, text: AsyncIterable[str], playout: Playout) -> AsyncIterator[str]:
        """Pass on a segment's words as they are heard, none that were not.

        Args:
            text: What is said in the segment that comes next.
            playout: Plays it.
        """
        return self._follow(_Reading(text), playout, playout.coming)

    async def _follow(
        self, reading: _Reading, playout: Playout, segment: Playback
    ) -> AsyncIterator[str]:
        passed = 0.0
        try:
            while word := await reading.next():
                letters = _letters(word)
                await self._until_heard(passed + letters / 2, reading, playout, segment)
                if segment.cut:
                    return
                yield word
                passed += letters
        finally:
            await reading.aclose()

    async def _until_heard(
        self, letters: float, reading: _Reading, playout: Playout, segment: Playback
    ) -> None:
        """Return when so many of a segment's letters were heard, or it is over."""
        while not segment.over:
            self._learn(reading, segment)
            heard_s = segment.voiced.before(playout.heard_s(segment))
            if (left_s := letters / self._rate - heard_s) <= 0:
                return
            moving = segment.begun and not playout.paused
            await playout.moved(max(left_s, _LEAST_WAIT_S) if moving else None)

    def _learn(self, reading: _Reading, segment: Playback) -> None:
        """How fast the voice is, from a segment of which all has come."""
        if reading.ended and segment.ended and segment.voiced.total_s >= _LEARNED_FROM_S:
            self._rate = reading.letters / segment.voiced.total_s


class _Reading:
    """Reads a text ahead of what is heard, into whole words."""

    def __init__(self, text: AsyncIterable[str]) -> None:
        self.letters = 0.0
        """How much has come."""
        self.ended = False
        """Whether all has come."""
        self._text = text
        self._words: deque[str] = deque()
        self._come = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def next(self) -> str:
        """The next word; empty when there is none any more."""
        if self._task is None:
            self._task = asyncio.create_task(self._read())
        while not self._words and not self.ended:
            self._come.clear()
            await self._come.wait()
        if self._words:
            return self._words.popleft()
        await self._task  # it may have failed
        return ""

    async def aclose(self) -> None:
        """Read no further."""
        if self._task:
            await utils.aio.cancel_and_wait(self._task)

    async def _read(self) -> None:
        begun = ""
        try:
            async for piece in self._text:
                begun = self._split(begun + piece)
        finally:
            if begun:
                self._take(begun)
            self.ended = True
            self._come.set()

    def _split(self, text: str) -> str:
        """Take the whole words of a text; return what may be the beginning of one."""
        end = 0
        for word in _WORD.finditer(text):
            if word.end() == len(text):
                break
            self._take(word.group())
            end = word.end()
        return text[end:]

    def _take(self, word: str) -> None:
        self._words.append(word)
        self.letters += _letters(word)
        self._come.set()


def _letters(word: str) -> float:
    """How long a word is heard, in letters."""
    return sum(_DIGIT if sign.isdigit() else float(sign.isalpha()) for sign in word)


def playout_of(output: io.AudioOutput | None) -> Playout | None:
    """The playout at the end of a chain of outputs, if that is what plays there."""
    while output:
        if isinstance(output, Playout):
            return output
        output = output.next_in_chain
    return None
