"""Tells what Whisper heard from what it made up.

On noise and near-silence Whisper writes sentences that were frequent in its training data, and on
short audio it can get caught in a loop. The thresholds are those of OpenAI's own decoder unless
said.
"""

from __future__ import annotations

import re
import zlib

MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better than this repeats itself (OpenAI's threshold)."""

MIN_AVG_LOGPROB = -1.0
"""Mean log probability of a token below which a decode has failed (OpenAI's threshold)."""

_MAX_NO_SPEECH = 0.6
"""Probability of silence above which an unsure decode is taken for silence (OpenAI's threshold)."""

_MAX_NO_SPEECH_PHANTOM = 0.4
"""The same for the phrases below, which are wrong far more often than right when unsure."""

_MIN_LOOPS = 3
_MAX_LOOP_WORDS = 12

_PHANTOMS = frozenset({"you", "thank you", "thanks for watching", "thank you for watching", "so"})
"""What tiny Whisper models write on near-silence."""

_NOT_SPEECH = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪[^♪]*♪?")
"""Descriptions such as [Music], (laughs), *sighs*, and sung lines."""

_SPACES = re.compile(r"\s+")


def bare_words(text: str) -> list[str]:
    """Return the words in lower case without punctuation."""
    return [w for w in re.sub(r"[^\w\s']", " ", text.lower()).split() if w]


def clean(text: str) -> str:
    """Strip descriptions of sounds; return the empty string when no word is left."""
    text = _SPACES.sub(" ", _NOT_SPEECH.sub(" ", text)).strip()
    return text if bare_words(text) else ""


def loop_start(words: list[str], *, min_loops: int) -> int | None:
    """Return where the repetition of a phrase begins that goes on up to the end.

    The last repetition may be cut short, as it is when a decode ran into its bound.
    """
    count = len(words)
    for size in range(1, min(_MAX_LOOP_WORDS, count // min_loops) + 1):
        matched = 0
        while (
            matched < count - size
            and words[count - 1 - matched] == words[count - 1 - matched - size]
        ):
            matched += 1
        if matched >= size * (min_loops - 1):
            return count - matched
    return None


def is_loop(text: str) -> bool:
    """Tell whether the decode was caught in a loop."""
    data = text.encode()
    if len(data) / len(zlib.compress(data)) > MAX_COMPRESSION_RATIO:
        return True
    return loop_start(bare_words(text), min_loops=_MIN_LOOPS) is not None


def says_all_twice(text: str) -> bool:
    """Tell whether the text is one phrase said twice or more, as short decodes often are."""
    words = bare_words(text)
    start = loop_start(words, min_loops=2)
    return start is not None and start <= len(words) // 2


def unlooped(text: str) -> str:
    """Return the text with a phrase that repeats itself up to the end kept once."""
    words = text.split()
    start = loop_start([" ".join(bare_words(w)) for w in words], min_loops=2)
    return text if start is None else " ".join(words[:start])


def is_phantom(text: str, *, avg_logprob: float, no_speech_prob: float) -> bool:
    """Tell whether the decode is more likely a product of silence or noise than speech."""
    if no_speech_prob > _MAX_NO_SPEECH and avg_logprob < MIN_AVG_LOGPROB:
        return True
    if " ".join(bare_words(text)) in _PHANTOMS:
        return no_speech_prob > _MAX_NO_SPEECH_PHANTOM or avg_logprob < MIN_AVG_LOGPROB
    return False
