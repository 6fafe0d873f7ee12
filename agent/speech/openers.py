"""Openers: the audio of "Sure," and the like is kept, for replies that begin with one.

The model decides whether a reply begins with an opener and with which one; nothing is put into its
mouth. When its first words are an opener whose audio is kept, that audio leaves while the rest is
being written and synthesised, and only the rest is sent to the voice. What counts as spoken is the
model's text, which this does not touch.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import tts

from ..observe.record import Opener
from .phrases import PhraseCache

_MARKS = ",.!;:…"
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a reply begins.

    Attributes:
        kind: What kept audio has to do with it.
        rest: What is still to be synthesised; with a miss or none, all of it.
        audio: The opener's audio, if kept.
        characters_saved: Characters that need not be sent to the voice.
    """

    kind: Opener
    rest: AsyncIterator[str]
    audio: Sequence[rtc.AudioFrame] = ()
    characters_saved: int = 0


class OpenerCache:
    """The openers of one voice.

    Args:
        phrases: Keeps their audio.
        openers: As they are synthesised, each with the mark that gives it its tone: "Sure,".
    """

    def __init__(self, *, phrases: PhraseCache, openers: Sequence[str]) -> None:
        self._phrases = phrases
        self._openers = {_plain(opener).rstrip(_MARKS): opener for opener in openers}
        self._openers.pop("", None)
        words = "|".join(re.escape(opener) for opener in self._openers)
        self._begun = re.compile(rf"\s*({words})[{re.escape(_MARKS)}]+\s*") if words else None

    def render_missing(self, voice: tts.TTS[Any]) -> None:
        """Synthesise in the background what is not kept yet."""
        self._phrases.render_missing(voice, self._openers.values())

    def has(self, opener: str) -> bool:
        """Whether this is an opener whose audio is kept."""
        kept = self._openers.get(_plain(opener).rstrip(_MARKS))
        return kept is not None and self._phrases.get(kept) is not None

    async def begin(self, pieces: AsyncIterator[str]) -> Opening:
        """Read as much of a reply as tells whether it begins with an opener.

        A reply that begins otherwise is let go at the first letter that differs.
        """
        text = ""
        while (found := self._match(text)) is None and self._may_become_one(text):
            if (piece := await anext(pieces, None)) is None:
                break
            text += piece
        if found is None:
            return Opening(kind="none", rest=_chained(text, pieces))
        audio = self._phrases.get(self._openers[_plain(found[1])])
        if audio is None:
            return Opening(kind="miss", rest=_chained(text, pieces))
        return Opening(
            kind="hit",
            rest=_chained(text[found.end() :], pieces),
            audio=audio,
            characters_saved=len(found[0].strip()),
        )

    def _match(self, text: str) -> re.Match[str] | None:
        return self._begun.match(_lower_ascii(text)) if self._begun else None

    def _may_become_one(self, text: str) -> bool:
        so_far = _plain(text)
        return any(opener.startswith(so_far) for opener in self._openers)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text.lstrip()).lower()


def _lower_ascii(text: str) -> str:
    """Lower case with every character in its place."""
    return "".join(char.lower() if char.isascii() else char for char in text)


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    if first:
        yield first
    async for piece in rest:
        yield piece
