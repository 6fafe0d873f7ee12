"""What the words alone tell about the end of a turn. English; other languages are left open.

A recogniser's full stop says little: recognisers put one after any pause. A question mark, a
comma, and above all the last word say more.
"""

from __future__ import annotations

import re
from enum import Enum

_WORD = re.compile(r"[^\W_]+(?:['’.@-][^\W_]+)*")

_NEVER_LAST = frozenset(
    # articles, possessives, conjunctions, and words that announce the next one
    "a an the my your his its our their and or but because so if when while although that which "
    "than as of to from for with without into onto at by about between please's is are was were am "
    "be been being isn't can't won't don't doesn't didn't i'm i'd i'll i've you're we're they're "
    "it's there's that's what's who's gonna wanna very really just also like um uh er erm hmm "
    "mister mrs every each such some any maybe perhaps i we he she they".split()
)
_LAST_ONLY_IN_QUESTIONS = frozenset("to from for with of at about is are was were like".split())
"""A question may end in these: "What is it for?"."""
_QUESTION_STARTS = frozenset(
    "what when where who whom whose which why how is are am was were do does did can could will "
    "would shall should may might have has had isn't aren't don't doesn't didn't can't couldn't "
    "won't wouldn't".split()
)
_BE_FORMS = frozenset("is are was were".split())
_PLACE_WORDS = frozenset("where when who how".split())
_LEAD_INS = frozenset("and but so well okay ok hello hi hey please yes no then sorry".split())
"""What may stand before a question without making it anything else."""
_COMPLETE_ANSWERS = frozenset(
    "yes no yeah yep nope okay ok sure thanks goodbye bye hello hi stop please correct exactly "
    "right nothing never always today tomorrow tonight".split()
)
_NUMBER_WORDS = frozenset("zero oh one two three four five six seven eight nine double".split())
_GOES_ON = (",", ";", ":", "-", "–", "—", "...", "…")
_BACKCHANNELS = frozenset(
    "m mm mmm mhm mmhm hm hmm hmmm uh huh uhhuh um umm er erm ah ahh oh ooh aha ehm eh".split()
)
_SHORTEST_QUESTION = 3
_SHORTEST_DICTATION = 2
_EMAIL_ASKED = re.compile(r"\be-?mail\b", re.IGNORECASE)
_ADDRESS_DONE = re.compile(r"(@|\bat\b).*(\.|\bdot\b)\s*[a-z]{2,}\W*$", re.IGNORECASE)


class Outlook(Enum):
    """Whether somebody who has said this has finished."""

    FINISHED = "finished"
    OPEN = "open"
    """It can end here, and it can go on."""
    DICTATING = "dictating"
    """Digits or an address, which come in groups with pauses between them."""
    UNFINISHED = "unfinished"
    """No sentence ends like this."""


def outlook(text: str) -> Outlook:
    """Judge a turn by its words so far."""
    text = text.strip()
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return Outlook.OPEN
    asked = text.endswith(("?", "？"))
    if text.endswith(_GOES_ON):
        return Outlook.UNFINISHED
    if words[-1] in _NEVER_LAST and not (asked and words[-1] in _LAST_ONLY_IN_QUESTIONS):
        # "Tell me where my order is" ends; "what I need is" does not.
        embedded = words[-1] in _BE_FORMS and any(word in _PLACE_WORDS for word in words[1:-1])
        return Outlook.OPEN if embedded else Outlook.UNFINISHED
    if _is_dictating(text, words):
        return Outlook.DICTATING
    if asked or words[-1] in _COMPLETE_ANSWERS or _built_like_a_question(words):
        return Outlook.FINISHED
    return Outlook.OPEN


def is_backchannel(text: str) -> bool:
    """Whether this is nothing but sounds of listening, such as "mm-hmm" or "uh huh"."""
    sounds = re.findall(r"[^\W_]+", text.lower())
    return bool(sounds) and all(sound in _BACKCHANNELS for sound in sounds)


def is_question(text: str) -> bool:
    """Whether this is marked or built as a question."""
    words = [word.lower() for word in _WORD.findall(text)]
    return text.strip().endswith(("?", "？")) or (bool(words) and _built_like_a_question(words))


def _built_like_a_question(words: list[str]) -> bool:
    """Whether the last sentence is built like a question and long enough to be one."""
    start = 0
    while start < len(words) - 1 and words[start] in _LEAD_INS:
        start += 1
    return words[start] in _QUESTION_STARTS and len(words) - start >= _SHORTEST_QUESTION


def _is_dictating(text: str, words: list[str]) -> bool:
    if _EMAIL_ASKED.search(text) and re.search(r"\bis\b|\bat\b|@", text, re.IGNORECASE):
        return not _ADDRESS_DONE.search(text)
    tail = words[-_SHORTEST_DICTATION:]
    return len(tail) == _SHORTEST_DICTATION and all(
        word in _NUMBER_WORDS or (word.isdigit() and len(word) == 1) for word in tail
    )
