"""E-mail addresses as people say them and recognisers write them.

"anna at example dot com", "Anna@example.com.", "a n n a at example.com" and "anna at example. com"
are all anna@example.com. What cannot be told is None: better to ask again than to look up a guess.
"""

from __future__ import annotations

import re

_WRITTEN = re.compile(
    r"[a-z0-9][a-z0-9._%+-]*\s?@\s?[a-z0-9-]+(?:\s?\.\s?[a-z0-9-]+)*\s?\.\s?[a-z]{2,24}\b"
)
_TOKEN = re.compile(r"[a-z0-9]+(?:[._%+-][a-z0-9]+)*|@")

_JOINERS = {
    "dot": ".",
    "point": ".",
    "period": ".",
    "underscore": "_",
    "dash": "-",
    "hyphen": "-",
    "minus": "-",
    "plus": "+",
}
_TLDS = frozenset(
    {
        "com",
        "net",
        "org",
        "edu",
        "gov",
        "io",
        "dev",
        "app",
        "ai",
        "co",
        "uk",
        "de",
        "fr",
        "eu",
        "us",
    }
)
"""Endings recognised where no "dot" was heard in front of them."""
_NOT_LOCAL = frozenset(
    {"is", "it's", "its", "email", "mail", "address", "my", "me", "the", "look", "s", "was", "that"}
)
"""Words before "at" that are the sentence's, not the address's."""
_DIGITS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}


def find_email(text: str) -> str | None:
    """Return the last e-mail address said in the text, in its usual written form."""
    text = text.lower()
    written = _WRITTEN.findall(text)
    if written:
        return re.sub(r"\s", "", written[-1])
    # A recogniser puts commas where the speaker paused, and spaces after dots.
    tokens = _TOKEN.findall(re.sub(r"'s\b|,", " ", text))
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index] in ("at", "@"):
            local, domain = _local_part(tokens[:index]), _domain(tokens[index + 1 :])
            if local and domain:
                return f"{local}@{domain}"
    return None


def _local_part(tokens: list[str]) -> str:
    """Read backwards from "at": joined words, or single letters that spell a name."""
    parts: list[str] = []
    joined = True
    spelled = True
    for token in reversed(tokens):
        if token in _JOINERS:
            if not parts or joined:
                break
            parts.append(_JOINERS[token])
            joined = True
            continue
        token = _DIGITS.get(token, token)
        is_letter = len(token) == 1
        if parts and not joined and not (spelled and is_letter):
            break
        if not parts and token in _NOT_LOCAL:
            return ""
        spelled = spelled and is_letter
        parts.append(token)
        joined = False
    if parts and parts[-1] in _JOINERS.values():
        parts.pop()
    return (
        "".join(reversed(parts)).replace("-", "")
        if _is_spelled(parts)
        else "".join(reversed(parts))
    )


def _is_spelled(parts: list[str]) -> bool:
    """Whether a recogniser wrote a spelled name with hyphens ("a-n-n-a")."""
    return len(parts) == 1 and bool(re.fullmatch(r"[a-z0-9](?:-[a-z0-9])+", parts[0]))


def _domain(tokens: list[str]) -> str | None:
    """Read forwards from "at" up to and including the ending."""
    labels: list[str] = []
    dotted = True
    for token in tokens:
        if token in ("dot", "point", "period"):
            dotted = True
            continue
        if not dotted and token not in _TLDS:
            break
        labels.append(token)
        dotted = False
        if token in _TLDS and not _more_follows(tokens, len(labels)):
            break
    domain = ".".join(labels)
    return domain if re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}", domain) else None


def _more_follows(tokens: list[str], labels: int) -> bool:
    """Whether an ending such as "co" is followed by another one ("co dot uk")."""
    rest = [token for token in tokens if token not in ("dot", "point", "period")][labels:]
    return bool(rest) and rest[0] in _TLDS
