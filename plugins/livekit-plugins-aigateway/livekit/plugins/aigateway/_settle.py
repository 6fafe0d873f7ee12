"""When an interim transcript has settled enough to start thinking about an answer.

LiveKit starts a speculative reply on ``PREFLIGHT_TRANSCRIPT``, a few times a turn at most, so a
preflight in the middle of a sentence is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Ending = Literal["finished", "open", "unfinished"]
"""Whether somebody who has said this has finished, as far as the words tell."""

_TERMINAL = (".", "?", "!", "。", "？", "！", "।")
_GOES_ON = ("...", "…", ",", ";", ":", "-", "，", "、")
"""How recognisers write a sentence that they expect to go on."""
_WORD = re.compile(r"[^\W_]+")


def ending_by_punctuation(text: str) -> Ending:
    """Judge by the last mark alone, in any language."""
    if text.endswith(_GOES_ON):
        return "unfinished"
    return "finished" if text.endswith(_TERMINAL) else "open"


@dataclass(frozen=True, kw_only=True)
class SettlePolicy:
    """Milliseconds that must pass. Partials come about every 100 ms from this gateway."""

    settle_ms: float = 100.0
    """The text is unchanged this long, and the caller has been silent for ``silence_ms``."""
    silence_ms: float = 160.0
    """The stops inside words are silences too, of up to 150 ms."""
    finished_silence_ms: float = 100.0
    """Silence that suffices after words that end. Recognisers put a full stop after any partial, so
    the mark alone says nothing while the voice goes on."""
    noisy_settle_ms: float = 800.0
    """Unchanged this long settles anything: in noise too, where the caller never seems silent."""
    ending: Callable[[str], Ending] = ending_by_punctuation
    """What the words tell; pure, called for every partial."""


def settled(text: str, *, unchanged_ms: float, silent_ms: float, policy: SettlePolicy) -> bool:
    """Whether the interim ``text`` is worth a speculative reply.

    Args:
        text: The interim as it stands.
        unchanged_ms: How long it has stood.
        silent_ms: How long nobody has seemed to speak.
        policy: The thresholds.
    """
    text = text.strip()
    if not text:
        return False
    if unchanged_ms >= policy.noisy_settle_ms:
        return True
    ending = policy.ending(text)
    if ending == "finished" and silent_ms >= policy.finished_silence_ms:
        return True
    still = unchanged_ms >= policy.settle_ms and silent_ms >= policy.silence_ms
    return ending != "unfinished" and still


def same_words(first: str, second: str) -> bool:
    """Whether two transcripts differ in nothing but case and punctuation."""
    return _WORD.findall(first.casefold()) == _WORD.findall(second.casefold())
