"""Days and destinations in what a caller said."""

from __future__ import annotations

import re

from gateway.engines.brain.text import similar, words_of

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DATE = re.compile(
    r"\b(?:(?P<month>{months})\s+(?:the\s+)?(?P<day>\d{{1,2}})"
    r"|(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month2>{months}))\b".format(
        months="|".join(_MONTHS)
    ),
    re.IGNORECASE,
)

_PLACE_END = frozenset(
    "on for this next tomorrow today tonight day the please from leaving at by in and i with if as "
    "my is are okay ok thanks thank".split()
)
"""Words that end the name of a place."""
_NOT_A_PLACE = frozenset(
    "book fly go travel get order know ask do check see make buy have take leave me you it that a "
    "an us him her be say tell find look hear talk speak reserve need want one two help".split()
)
"""Words that may follow "to" without being a place."""
_ARTICLES = frozenset({"the", "a", "an"})
_MAX_PLACE_WORDS = 3
_FILLERS = frozenset("to uh um it's its i'd like want let's make say well yes yeah please".split())


def find_day(text: str) -> str | None:
    """Return the last day said, as a person would write it: "tomorrow", "Friday", "March 5"."""
    date = _DATE.search(text)
    if date is not None:
        month = date["month"] or date["month2"]
        return f"{month.capitalize()} {int(date['day'] or date['day2'])}"
    words = words_of(text)
    found: str | None = None
    for index, word in enumerate(words):
        before = words[max(0, index - 2) : index]
        if similar(word, "tomorrow"):
            found = "the day after tomorrow" if before == ["day", "after"] else "tomorrow"
        elif word in ("today", "tonight"):
            found = "today"
        for weekday in _WEEKDAYS:
            if similar(word.removesuffix("'s"), weekday.lower()):
                found = f"next {weekday}" if before[-1:] == ["next"] else weekday
    return found


def find_destination(text: str) -> str | None:
    """Return the place after the last "to" (or "for") that is followed by one."""
    words = [word.strip(".,?!;:") for word in text.split()]
    for index in range(len(words) - 1, -1, -1):
        if words[index].lower() in ("to", "into", "for"):
            place = _place(words[index + 1 :])
            if place:
                return place
    return None


def bare_destination(text: str) -> str | None:
    """Return the place in an answer to "Where to?": all of it that is not filler."""
    words = [word.strip(".,?!;:") for word in text.split()]
    while words and words[0].lower() in _FILLERS:
        words = words[1:]
    return _place(words)


def _place(words: list[str]) -> str | None:
    name: list[str] = []
    if words and words[0].lower() in _ARTICLES:
        words = words[1:]
    for word in words[:_MAX_PLACE_WORDS]:
        lower = word.lower()
        if not lower or lower in _PLACE_END or find_day(word):
            break
        if not name and (lower in _NOT_A_PLACE or not lower[0].isalpha()):
            return None
        name.append(word if word[0].isupper() else word.capitalize())
    return " ".join(name) or None
