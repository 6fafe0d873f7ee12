"""A running summary of a conversation, made of the conversation's own words."""

from __future__ import annotations

import re

from gateway.engines.brain.email import find_email
from gateway.wire.openai_chat import ChatMessage

_ASKS = re.compile(r"\b(?:summari[sz]e|compress|condense|running summary)\b", re.IGNORECASE)
_TRANSCRIPT_LINE = re.compile(
    r"^\W*(?P<who>user|caller|customer|assistant|agent)\W*[:>]\s*(?P<said>.+?)(?:</\w+>)?\s*$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.?!]+[.?!]?")
_MAX_POINTS = 6
_MAX_POINT_CHARS = 120
_USERS = frozenset({"user", "caller", "customer"})


def asks_for_summary(messages: tuple[ChatMessage, ...]) -> bool:
    """Tell whether this is a request to summarise a conversation rather than to take part in it."""
    return any(
        message.role in ("system", "developer") and _ASKS.search(message.text)
        for message in messages
    )


def summarize(messages: tuple[ChatMessage, ...]) -> str:
    """Return the first sentence of each of the last turns, user and assistant alike."""
    turns = [turn for message in messages for turn in _turns(message)]
    points = []
    for who, said in turns[-_MAX_POINTS:]:
        first = _SENTENCE.match(said)
        point = (first.group() if first else said).strip()[:_MAX_POINT_CHARS].rstrip(".?! ")
        if point:
            points.append(f"The {who} said: {point}.")
    email = find_email(" ".join(said for who, said in turns if who == "user"))
    if email is not None:
        points.append(f"The user's email address is {email}.")
    return " ".join(points) or "Nothing has been said yet."


def _turns(message: ChatMessage) -> list[tuple[str, str]]:
    """Return the turns in a message: itself, or the lines of a transcript written into it."""
    if message.role not in ("user", "assistant") or not message.text.strip():
        return []
    lines: list[tuple[str, str]] = [
        ("user" if match["who"].lower() in _USERS else "assistant", match["said"])
        for line in message.text.splitlines()
        if (match := _TRANSCRIPT_LINE.match(line))
    ]
    if lines:
        return lines
    return [(message.role, message.text.strip())]
