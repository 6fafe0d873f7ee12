"""What a reply has to say, and where to go on when a connection was lost in the middle of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from ._clauses import cut_to_size, speakable_chars

_WORD = re.compile(r"\S+\s*")

_PRIOR_MS_PER_CHAR = 70.0
"""Speech at 180 words a minute, the usual pace of these voices, with 4.7 letters a word."""
_RATE_SMOOTHING = 0.3
_MIN_OBSERVED_CHARS = 15
"""Shorter replies are mostly silence at both ends and say little about the pace."""
_KNOWN_AFTER = 3
"""Replies after which the smoothed pace is the voice's own to within a tenth."""
_SKIP_AHEAD_CHARS = 2
"""A word cut short is not begun again: better a syllable missing than one heard twice."""


class Script:
    """The clauses of one reply, in order, while they are being written."""

    def __init__(self, *, max_clause_chars: int) -> None:
        """Args: max_clause_chars: Longer clauses are cut at white space."""
        self._max_clause_chars = max_clause_chars
        self._clauses: list[str] = []
        self._ended = False
        self._changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether no clause will follow."""
        return self._ended

    def add(self, clause: str) -> None:
        """Add a clause. One that has nothing to say is left out: no audio would answer it."""
        if speakable_chars(clause):
            self._clauses += cut_to_size(clause.strip(), self._max_clause_chars)
            self._changed.set()

    def end(self) -> None:
        """No clause will follow."""
        self._ended = True
        self._changed.set()

    async def get(self, index: int) -> str | None:
        """The clause at ``index``, once it is written; ``None`` when the script ends before it."""
        while index >= len(self._clauses):
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._clauses[index]

    def resume(self, start: int, stop: int, heard_chars: float) -> int:
        """Find where to go on after the clauses ``[start, stop)`` were cut short.

        The clause that was cut is shortened to its unspoken words.

        Args:
            start: First clause sent on the lost connection.
            stop: One past the last clause sent on it.
            heard_chars: Speakable characters that were heard of them.

        Returns:
            The index of the clause to go on with.
        """
        for index in range(start, stop):
            clause = self._clauses[index]
            length = speakable_chars(clause)
            if heard_chars < length:
                rest = unspoken(clause, heard_chars)
                if not rest:
                    return index + 1
                self._clauses[index] = rest
                return index
            heard_chars -= length
        return stop


def unspoken(clause: str, heard_chars: float) -> str:
    """The words of ``clause`` that begin after ``heard_chars`` of its speakable characters."""
    if heard_chars <= 0:
        return clause
    position = 0
    for match in _WORD.finditer(clause):
        if position >= heard_chars + _SKIP_AHEAD_CHARS:
            rest = clause[match.start() :]
            return rest if speakable_chars(rest) else ""
        position += speakable_chars(match.group())
    return ""


@dataclass(slots=True)
class SpeakingPace:
    """How long a voice takes for a character; learnt from the replies it has finished."""

    ms_per_char: float = _PRIOR_MS_PER_CHAR
    observed: int = 0

    @property
    def known(self) -> bool:
        """Whether this is the voice's pace, and not a guess about voices."""
        return self.observed >= _KNOWN_AFTER

    def observe(self, *, chars: int, audio_s: float) -> None:
        """A reply of ``chars`` speakable characters took ``audio_s`` seconds."""
        if chars >= _MIN_OBSERVED_CHARS:
            self.observed += 1
            seen = audio_s * 1000.0 / chars
            self.ms_per_char += _RATE_SMOOTHING * (seen - self.ms_per_char)

    def chars_in(self, audio_s: float) -> float:
        """Speakable characters in ``audio_s`` seconds of speech."""
        return audio_s * 1000.0 / self.ms_per_char
