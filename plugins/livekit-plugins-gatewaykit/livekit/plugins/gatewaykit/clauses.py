"""Text is spoken as soon as a sentence ends, without waiting for the next one to begin.

LiveKit's tokenizers hold a sentence back until the following one has started, which for an answer
of one sentence is until the model has finished. Here a final ``?`` or ``!`` releases it at once,
and a full stop too unless it may still turn out to be something else: a decimal point, an
abbreviation, an initial, or a part of an address.

A reply's first words leave even earlier: at its first comma, or before a preposition or conjunction
once there are some words. While the voice says them the rest of the sentence is written.
"""

from __future__ import annotations

import re

from livekit.agents.tokenize import SentenceStream, SentenceTokenizer, TokenData

_MAX_CLAUSE_CHARS = 600
"""Text without an end is cut at white space before this: one message, one bounded request."""

_SENTENCE_END = re.compile(r"""[.?!…]+["')\]}»”’]*|[。？！।]""")
_CLOSERS = "\"')]}»”’"
_OPENERS = "\"'([{«“‘"
_CJK_ENDS = "。？！।"
_ABBREVIATIONS = frozenset(
    ("mr mrs ms dr prof st jr sr vs etc approx inc ltd co dept est fig vol e.g i.e a.m p.m").split()
)
_ADDRESS_PART = re.compile(r"[@/]|^www\b", re.IGNORECASE)

_CLAUSE_END = re.compile(r"""[,;:]["')\]}»”’]*|\s[–—-](?=\s)|[，；：、]""")
_CJK_CLAUSE_ENDS = "，；：、"
_EAGER_CHARS = 20
"""Once so much has left (about 1.2 s of speech) the next sentence is kept whole: it sounds better,
and the voice is busy meanwhile."""
_BREAK_AFTER_WORDS = 5
_BREAK_BEFORE = frozenset(
    "and but or because so which while when where if at on in for from with to by until after "
    "before between".split()
)
_WORD = re.compile(r"\S+")


def is_speakable(text: str) -> bool:
    """Whether there is a letter or digit to say; for anything less no server sends audio."""
    return any(char.isalnum() for char in text)


def _full_stop_ends(before: str, *, at_end: bool) -> bool:
    """Whether a full stop after ``before`` ends a sentence.

    Args:
        before: The text up to the full stop.
        at_end: Whether nothing is known to follow it yet.
    """
    words = before.split()
    word = words[-1].lstrip(_OPENERS) if words else ""
    if word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "I"):
        return False
    if not at_end:
        return True  # white space follows, so the word is complete
    # the rest of the word may still come: "3." "14", "anna@example." "com", "e." "g."
    return not (word[-1:].isdigit() or _ADDRESS_PART.search(word) or "." in word)


def _mark_ends(before: str, mark: str, *, at_end: bool) -> bool:
    """Whether the punctuation ``mark`` after ``before`` ends a sentence."""
    dots = mark.rstrip(_CLOSERS)
    if dots == ".":
        return _full_stop_ends(before, at_end=at_end)
    return not (at_end and dots == "..")  # the third one is on its way


def split_ready(buffer: str) -> tuple[list[str], str]:
    """The clauses in ``buffer`` that can be spoken now, and the rest, which has to wait."""
    ready: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(buffer):
        at_end = match.end() == len(buffer)
        if not (at_end or match.group() in _CJK_ENDS or buffer[match.end()].isspace()):
            continue
        ends = _mark_ends(buffer[start : match.start()], match.group(), at_end=at_end)
        if ends and is_speakable(buffer[start : match.end()]):
            ready.append(buffer[start : match.end()].strip())
            start = match.end()
    return ready, buffer[start:]


def _may_go_on(before: str, mark: str) -> bool:
    """Whether a word may go on after a mark: "10:" "30", "1," "200", "http:" "//", "?a=b," "c"."""
    word = before.split()[-1]
    return (
        ":" in mark
        or not before[-1:].isalpha()
        or "." in word
        or _ADDRESS_PART.search(word) is not None
    )


def split_opening(buffer: str) -> tuple[str, str]:
    """The first clause of a reply if ``buffer`` holds all of it (else empty), and the rest.

    Only a mark that white space follows ends a clause, or one at the very end that no number,
    time or address can be continued from.
    """
    for match in _CLAUSE_END.finditer(buffer):
        before, mark = buffer[: match.start()], match.group()
        if not is_speakable(before):
            continue
        at_end = match.end() == len(buffer)
        if at_end and mark not in _CJK_CLAUSE_ENDS and _may_go_on(before, mark):
            continue
        if at_end or mark in _CJK_CLAUSE_ENDS or buffer[match.end()].isspace():
            return buffer[: match.end()].strip(), buffer[match.end() :]
    words = list(_WORD.finditer(buffer))
    for word in words[_BREAK_AFTER_WORDS:-1]:  # the last word may not be complete yet
        if word.group().lower() in _BREAK_BEFORE:
            return buffer[: word.start()].strip(), buffer[word.start() :]
    return "", buffer


def cut_to_size(text: str, maximum: int) -> list[str]:
    """``text`` in pieces of at most ``maximum`` characters, cut at white space if possible."""
    pieces = []
    while len(text) > maximum:
        cut = text.rfind(" ", 1, maximum + 1)
        cut = cut if cut > 0 else maximum
        pieces.append(text[:cut].strip())
        text = text[cut:].lstrip()
    return [*pieces, text] if text.strip() else pieces


class ClauseTokenizer(SentenceTokenizer):
    """Releases the first clause at once and each sentence at its end; both plugins' default."""

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        """All clauses of a text that is complete."""
        ready, rest = split_ready(text)
        return [*ready, rest.strip()] if is_speakable(rest) else ready

    def stream(self, *, language: str | None = None) -> SentenceStream:
        """A stream that releases clauses while text comes in."""
        return ClauseStream()


class ClauseStream(SentenceStream):
    """See :class:`ClauseTokenizer`."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = ""
        self._released = 0  # characters

    def push_text(self, text: str) -> None:
        """Add text; complete clauses come out."""
        self._check_not_closed()
        ready, self._buffer = split_ready(self._buffer + text)
        self._release(ready)
        while self._released < _EAGER_CHARS:
            opening, self._buffer = split_opening(self._buffer)
            if not opening:
                break
            self._release([opening])
        if len(self._buffer) > _MAX_CLAUSE_CHARS:
            *pieces, self._buffer = cut_to_size(self._buffer, _MAX_CLAUSE_CHARS)
            self._release(pieces)

    def flush(self) -> None:
        """Release what is left, complete or not."""
        self._check_not_closed()
        rest, self._buffer = self._buffer.strip(), ""
        self._release([rest] if rest else [])

    def end_input(self) -> None:
        """No more text."""
        self.flush()
        self._do_close()

    async def aclose(self) -> None:
        """Stop; what was not released is dropped."""
        self._do_close()

    def _release(self, clauses: list[str]) -> None:
        for clause in clauses:
            self._released += len(clause)
            self._event_ch.send_nowait(TokenData(token=clause))
