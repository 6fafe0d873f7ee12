"""Whether what was heard holds what was hoped for, allowing for a recogniser's spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

ALIKE = 0.8
"""Share of letters that must agree, in order. "lamp" and "lamb" (0.75) differ, as do "Monday" and
"Sunday" (0.67) and "4812" and "4813" (0.75); "anna" and "hannah" (0.8) do not."""


@dataclass(frozen=True)
class Phrase:
    """Words that must occur, nearly, or a `/regular expression/` that must match.

    Raises:
        ValueError: The text is empty or not a valid regular expression.
    """

    text: str

    def __post_init__(self) -> None:
        if self.pattern is None and not words(self.text):
            raise ValueError("an expectation needs words")

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The compiled expression between slashes, or None for words."""
        if len(self.text) < 3 or not (self.text.startswith("/") and self.text.endswith("/")):
            return None
        try:
            return re.compile(self.text[1:-1], re.IGNORECASE)
        except re.error as e:
            raise ValueError(f"{self.text} is not a regular expression: {e}") from None

    def found_in(self, heard: str) -> bool:
        """Whether it occurs in `heard`, wherever."""
        if pattern := self.pattern:
            return pattern.search(heard) is not None
        return _nearly_in(words(self.text), words(heard))


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation; "4,812" is one word, "4812"."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.lower().replace("’", "'"))
    return re.findall(r"[a-z0-9]+", text.replace("'", ""))


def _nearly_in(wanted: list[str], heard: list[str]) -> bool:
    target = "".join(wanted)
    # Recognisers split and join words ("desk lamp", "desklamp"), so a window may be a word off.
    for size in range(max(1, len(wanted) - 1), len(wanted) + 2):
        for first in range(len(heard) - size + 1):
            candidate = "".join(heard[first : first + size])
            if SequenceMatcher(None, target, candidate, autojunk=False).ratio() >= ALIKE:
                return True
    return False
