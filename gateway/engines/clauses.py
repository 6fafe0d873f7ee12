"""Cuts a text where a speaker would breathe, so that its first sound comes early."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SENTENCE_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"')\]”’]))\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|\s+(?=[—–-]\s)")

_MAX_FIRST_CHARS = 60
"""Characters up to which a first sentence is spoken whole: about 0.3 s of synthesis on one
core."""
_MIN_CLAUSE_CHARS = 12
"""A clause shorter than this sounds torn off when spoken alone ("Sure," does)."""
_MAX_CHARS = 200
"""Longest piece given to the synthesiser at once: it bounds the time until a cancel is noticed."""


def split_for_synthesis(text: str) -> Iterator[str]:
    """Yield pieces of the text, in order, that are worth synthesising one by one.

    Sentences stay whole, except that a long first one gives its first clause away, and no piece is
    longer than `_MAX_CHARS`. Pieces without a letter or digit are left out.
    """
    first = True
    for sentence in _SENTENCE_END.split(text):
        for piece in _bounded(sentence.strip()):
            if not any(character.isalnum() for character in piece):
                continue
            if first and len(piece) > _MAX_FIRST_CHARS:
                yield from _first_clause_apart(piece)
            else:
                yield piece
            first = False


def _first_clause_apart(sentence: str) -> Iterator[str]:
    for match in _CLAUSE_END.finditer(sentence):
        if match.start() >= _MIN_CLAUSE_CHARS and len(sentence) - match.end() >= _MIN_CLAUSE_CHARS:
            yield sentence[: match.start()]
            yield sentence[match.end() :]
            return
    yield sentence


def _bounded(sentence: str) -> Iterator[str]:
    while len(sentence) > _MAX_CHARS:
        cut = max(
            sentence.rfind(", ", 0, _MAX_CHARS) + 1,
            sentence.rfind(" ", 0, _MAX_CHARS) if ", " not in sentence[:_MAX_CHARS] else 0,
        )
        if cut <= 0:
            cut = _MAX_CHARS
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    yield sentence
