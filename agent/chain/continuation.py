"""Joins the answers of two models: the second one goes on where the first one broke off.

The second model is shown what was said and asked to go on. Some do, in the middle of a sentence.
Some begin with the last words again, and some write the whole answer once more. What was said is
left out in each case; a second model that puts it in other words is let speak from the sentence in
which it differs, so that every sentence that is begun comes to an end.
"""

from __future__ import annotations

import re
from itertools import pairwise

from livekit.agents import llm

_GO_ON = (
    "The connection broke in the middle of your last message; the caller has heard it up to there. "
    "Go on exactly where it stops, with the next word. Do not repeat anything, do not apologise."
)
_WORD_START = re.compile(r"(?<!\S)\S")
_SENTENCE_START = re.compile(r"(?:^|[.?!…][\"')\]]*\s+)(?=\S)")
_BREAK = " … "
_LONGEST_OVERLAP_WORDS = 12
"""More last words than this are not begun with again, unless it is everything."""
_LEAST_PART = 3
"""Letters from which on the last word may be the beginning of the next one."""
_TELLING_WORDS = 3
"""Matching words from which on a second model is taken to write the answer once more."""


def continued(chat_ctx: llm.ChatContext, said: str) -> llm.ChatContext:
    """The conversation as a second model sees it that is to go on after `said`."""
    context = chat_ctx.copy()
    context.add_message(role="assistant", content=said)
    context.add_message(role="system", content=_GO_ON)
    return context


class Continuation:
    """What a second model writes, without what was said before.

    Args:
        said: All that was said of the answer.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._starts = _candidates(said)
        self._written = ""
        self._decided = not said.strip()

    def push(self, text: str) -> str:
        """Take some of what it writes; return what may be said of it."""
        if self._decided:
            return text
        self._written += text
        possible = [s for s in self._starts if _agree(self._said[s:], self._written)]
        undecided = [s for s in possible if _squeeze(self._written, self._said[s:]) is None]
        if undecided or not self._written.strip():
            return ""  # it may still be saying what was said
        return self._decide(possible)

    def end(self) -> str:
        """It has written all; return what may be said of what is left."""
        if self._decided:
            return ""
        possible = [s for s in self._starts if _agree(self._said[s:], self._written)]
        if possible:
            self._decided = True
            return ""  # nothing but what was said
        return self._decide([])

    def _decide(self, repeated: list[int]) -> str:
        self._decided = True
        rest = self._rest(repeated)
        return rest.lstrip() if self._said[-1:].isspace() else rest

    def _rest(self, repeated: list[int]) -> str:
        """What is new, where it may repeat what was said from one of these places on."""
        rests = {start: _squeeze(self._written, self._said[start:]) for start in repeated}
        whole = rests.get(self._starts[0])
        if whole is not None:
            return whole
        anew = _differs_from(self._said, self._written)
        if anew is not None:
            return f"{_BREAK if _is_open(self._said) else ' '}{self._written[anew:]}"
        for start, rest in rests.items():  # the longest first
            if rest is not None and _ends_whole(self._said[start:], rest):
                return rest
        # two words must not become one; a word that was cut in two sounds the same with a space
        touching = self._said[-1:].strip() and self._written[:1].isalnum()
        return f" {self._written}" if touching else self._written


def _candidates(said: str) -> list[int]:
    """Where what is repeated may begin in what was said: the longest first."""
    starts = [match.start() for match in _WORD_START.finditer(said)]
    return sorted({*starts[:1], *starts[-_LONGEST_OVERLAP_WORDS:]})


def _agree(said: str, written: str) -> bool:
    """Whether one is the beginning of the other, spaces and case apart."""
    a, b = _plain(said), _plain(written)
    return a.startswith(b) or b.startswith(a)


def _squeeze(written: str, said: str) -> str | None:
    """The rest of `written` after `said`; None while it is not all there.

    One more character than `said` has is needed, to tell whether its last word goes on.
    """
    missing = len(_plain(said))
    for index, char in enumerate(written):
        if missing == 0:
            return written[index:]
        missing -= not char.isspace()
    return None


def _ends_whole(said: str, rest: str) -> bool:
    """Whether the last word of `said` was whole, or is long enough to be one that `rest` ends."""
    last = said.split()[-1]
    return not rest[:1].isalnum() or len(last) >= _LEAST_PART or len(said.split()) > 1


def _differs_from(said: str, written: str) -> int | None:
    """Where the sentence begins in which `written` differs from `said`; None: they never agreed."""
    words, again = said.split(), written.split()
    same = 0
    while same < min(len(words), len(again)) and words[same].lower() == again[same].lower():
        same += 1
    if same < _TELLING_WORDS:
        return None
    ends = [match.end() for match in re.finditer(r"\S+\s*", written)]
    agreed = ends[same - 1]
    starts = [match.end() for match in _SENTENCE_START.finditer(written)]
    spans = pairwise([*starts, len(written) + 1])
    return next(start for start, stop in spans if start <= agreed < stop)


def _is_open(said: str) -> bool:
    """Whether it ends in the middle of a sentence."""
    return said.rstrip().rstrip("\"')]")[-1:] not in tuple(".?!…")


def _plain(text: str) -> str:
    return "".join(text.lower().split())
