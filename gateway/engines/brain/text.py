"""Words of a transcript, compared with some tolerance for what a small recogniser mishears."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_MIN_FUZZY_LENGTH = 5
"""Shorter words have too many neighbours ("flight" survives "flite"; "bye" must not match
"buy")."""
_MIN_SIMILARITY = 0.82

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def words_of(text: str) -> list[str]:
    """Return the words in lower case, without punctuation but with apostrophes."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def similar(word: str, keyword: str) -> bool:
    """Tell whether a word is a keyword, or close enough to be a mishearing of it."""
    if word == keyword:
        return True
    if min(len(word), len(keyword)) < _MIN_FUZZY_LENGTH:
        return False
    return SequenceMatcher(None, word, keyword).ratio() >= _MIN_SIMILARITY


def mentions(words: Iterable[str], keywords: Iterable[str]) -> bool:
    """Tell whether any word is one of the keywords."""
    keywords = tuple(keywords)
    return any(similar(word, keyword) for word in words for keyword in keywords)


def has_phrase(words: Sequence[str], *phrases: str) -> bool:
    """Tell whether any of the phrases occurs, word for word."""
    line = f" {' '.join(words)} "
    return any(f" {phrase} " in line for phrase in phrases)
