"""What a reply has to say, and where to go on when a connection was lost in the middle of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from .clauses import ClauseTokenizer, cut_to_size, is_speakable

_WORD = re.compile(r"\S+\s*")
_INNER_DOT = re.compile(r"(?<=\w)\.(?=\w)")

_CLAUSE_PAUSE_LETTERS = 4.0
"""Voices begin and end a clause with about 0.25 s of silence."""
_DIGIT_LETTERS = 4.0
"""A digit is a word: "seven"."""
_SYMBOL_LETTERS = 3.0
"""So is a sign inside a word: "at", "dot", "slash"."""
_SYMBOLS = frozenset("@#%&+=/$€£*_")
_IDEOGRAPH_LETTERS = 3.0
_FIRST_IDEOGRAPH = 0x2E80

_PRIOR_MS_PER_LETTER = 65.0
"""Speech at 180 words a minute, the usual pace of these voices, pauses apart."""
_RATE_SMOOTHING = 0.3
_MIN_OBSERVED_LETTERS = 15
"""Shorter replies are mostly silence at both ends and say little about the pace."""
_KNOWN_AFTER = 3
"""Replies after which the smoothed pace is the voice's own to within a tenth."""
_SKIP_AHEAD_LETTERS = 2
"""A word cut short is not begun again: better a syllable missing than one heard twice."""


def spoken_letters(text: str, *, pause: float = _CLAUSE_PAUSE_LETTERS) -> float:
    """How long a clause takes to say, in the time of a letter."""
    total = pause + _SYMBOL_LETTERS * len(_INNER_DOT.findall(text))
    for char in text:
        if char.isdigit():
            total += _DIGIT_LETTERS
        elif char.isalpha():
            total += _IDEOGRAPH_LETTERS if ord(char) >= _FIRST_IDEOGRAPH else 1.0
        elif char in _SYMBOLS:
            total += _SYMBOL_LETTERS
    return total


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
        if is_speakable(clause):
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

    def resume(self, start: int, stop: int, heard_letters: float) -> int:
        """Find where to go on after the clauses ``[start, stop)`` were cut short.

        The clause that was cut is shortened to its unspoken words.

        Args:
            start: First clause sent on the lost connection.
            stop: One past the last clause sent on it.
            heard_letters: What was heard of them, in letters.

        Returns:
            The index of the clause to go on with.
        """
        for index in range(start, stop):
            clause = self._clauses[index]
            length = spoken_letters(clause)
            if heard_letters < length:
                rest = unspoken(clause, heard_letters)
                if not rest:
                    return index + 1
                self._clauses[index] = rest
                return index
            heard_letters -= length
        return stop


def unspoken(clause: str, heard_letters: float) -> str:
    """The words of ``clause`` that begin after ``heard_letters`` of its letters."""
    if heard_letters <= 0:
        return clause
    position = 0.0
    for match in _WORD.finditer(clause):
        if position >= heard_letters + _SKIP_AHEAD_LETTERS:
            rest = clause[match.start() :]
            return rest if is_speakable(rest) else ""
        position += spoken_letters(match.group(), pause=0.0)
    return ""


def rest_of(text: str, heard_letters: float) -> str:
    """What is left to say of ``text``, of which more may be on its way.

    Args:
        text: As it was given to a voice.
        heard_letters: What was heard of it, in letters, pauses included.
    """
    clauses = ClauseTokenizer().tokenize(text)
    left: list[str] = []
    for index, clause in enumerate(clauses):
        length = spoken_letters(clause)
        if heard_letters < length:
            rest = unspoken(clause, heard_letters)
            left = [*([rest] if rest else []), *clauses[index + 1 :]]
            break
        heard_letters -= length
    ending = text[len(text.rstrip()) :]  # the next word must not touch the last one
    return " ".join(part.strip() for part in left) + ending


def letters_of(text: str) -> float:
    """How long ``text`` takes to say, in the time of a letter, pauses included."""
    return sum(map(spoken_letters, ClauseTokenizer().tokenize(text)))


@dataclass(slots=True)
class SpeakingPace:
    """How long a voice takes for a letter; learnt from the replies it has finished."""

    ms_per_letter: float = _PRIOR_MS_PER_LETTER
    observed: int = 0

    @property
    def known(self) -> bool:
        """Whether this is the voice's pace, and not a guess about voices."""
        return self.observed >= _KNOWN_AFTER

    def observe(self, *, letters: float, audio_s: float) -> None:
        """A reply of ``letters`` took ``audio_s`` seconds."""
        if letters >= _MIN_OBSERVED_LETTERS:
            self.observed += 1
            seen = audio_s * 1000.0 / letters
            self.ms_per_letter += _RATE_SMOOTHING * (seen - self.ms_per_letter)

    def letters_in(self, audio_s: float) -> float:
        """Letters in ``audio_s`` seconds of speech."""
        return audio_s * 1000.0 / self.ms_per_letter
