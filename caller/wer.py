"""Word error rate between what was said and what was recognised."""

from __future__ import annotations

import re

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def _spoken_number(digits: str) -> list[str]:
    """Say a number as people do: small ones as a number, long ones digit by digit."""
    if len(digits) > 2 or digits.startswith("0"):
        return [_UNITS[int(digit)] for digit in digits]
    number = int(digits)
    if number < 20:
        return [_UNITS[number]]
    tens, units = divmod(number, 10)
    return [_TENS[tens - 2], *([_UNITS[units]] if units else [])]


def normalized_words(text: str) -> list[str]:
    """Return the words in lower case, without punctuation, with numbers spelled out."""
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"(?<=\d)[,](?=\d{3})", "", text)
    text = re.sub(r"(?<=\w)[@](?=\w)", " at ", text)
    text = re.sub(r"(?<=\w)[.](?=[a-z])", " dot ", text)
    words: list[str] = []
    for word in re.findall(r"\d+|[a-z]+(?:'[a-z]+)*", text):
        words.extend(_spoken_number(word) if word.isdigit() else [word])
    return words


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Return the fewest substitutions, insertions and deletions from one to the other."""
    row = list(range(len(heard) + 1))
    for i, said in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, word in enumerate(heard, start=1):
            substituted = diagonal + (said != word)
            diagonal = row[j]
            row[j] = min(substituted, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def wer(reference: str, heard: str) -> float:
    """Return the word errors as a share of the words of the reference.

    Case, punctuation and the way numbers are written do not count.
    """
    words = normalized_words(reference)
    if not words:
        raise ValueError("the reference has no words")
    return word_errors(words, normalized_words(heard)) / len(words)
