"""Hang-up words: does the caller want to end the call?"""

from __future__ import annotations

import re

_PHRASES = ("goodbye", "good bye", "bye bye", "bye", "hang up", "end the call")
_POLITE = frozenset(
    "ok okay well so and now then please thank thanks you much very that's thats that is all for "
    "today have a nice great good day evening one see talk to later soon no i am im i'm done the "
    "phone can could just have to got need gotta go must".split()
)


def is_goodbye(text: str) -> bool:
    """Whether an utterance is nothing but a request to hang up.

    A hang-up phrase counts only among words of courtesy, so "don't hang up" and "did you say
    goodbye to the lamp?" go on with the call.
    """
    words = re.sub(r"[^a-z' ]+", " ", text.lower())
    words = " ".join(words.split())
    for phrase in _PHRASES:
        rest, found = re.subn(rf"\b{phrase}\b", " ", words)
        if found:
            remaining = re.sub(rf"\b(?:{'|'.join(_PHRASES)})\b", " ", rest).split()
            return all(word in _POLITE for word in remaining)
    return False
