"""A running summary of a conversation, made of the conversation's own words."""

from __future__ import annotations

import re

from gateway.engines.brain.email import find_email
from gateway.engines.brain.intents import Intent, classify
from gateway.engines.brain.slots import find_day, find_destination
from gateway.wire.openai_chat import ChatMessage

_ASKS = re.compile(r"\b(?:summari[sz]e|compress|condense)\b", re.IGNORECASE)
_LINE = re.compile(
    r"^\W*(?P<who>user|caller|customer|assistant|agent)\W*[:>]\s*(?P<said>.+?)(?:</\w+>)?\s*$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.?!]+")
_USERS = frozenset({"user", "caller", "customer"})
_MAX_ANSWER_CHARS = 160
_TOPICS = {
    Intent.ORDER: "their order",
    Intent.CALENDAR: "their calendar",
    Intent.FLIGHT: "a flight",
    Intent.USUAL: "the usual order",
    Intent.STORY: "a story",
}


def asks_for_summary(messages: tuple[ChatMessage, ...]) -> bool:
    """Tell whether this is a request to summarise a conversation rather than to take part in it."""
    return any(
        message.role in ("system", "developer") and _ASKS.search(message.text)
        for message in messages
    )


def summarize(messages: tuple[ChatMessage, ...]) -> str:
    """Return up to three sentences: who the user is, what they wanted, what they were told last.

    An earlier summary that is part of the request keeps counting: its words are read as the user's.
    """
    turns = [turn for message in messages for turn in _turns(message)]
    heard = [said for who, said in turns if who == "user"]
    sentences = []
    if email := find_email(" ".join(heard)):
        sentences.append(f"The user's email address is {email}.")
    if topics := list(dict.fromkeys(filter(None, map(_topic, heard)))):
        sentences.append(f"The user asked about {_listed(topics)}.")
    if answers := [said for who, said in turns if who == "assistant"]:
        answer = _SENTENCE.match(answers[-1])
        if answer is not None:
            sentences.append(
                f"The assistant said last: {answer.group()[:_MAX_ANSWER_CHARS].strip()}."
            )
    return " ".join(sentences) or "Nothing of note has been said yet."


def _topic(said: str) -> str | None:
    intent = classify(said)
    if intent is Intent.FLIGHT:
        place, day = find_destination(said), find_day(said)
        return " ".join(
            ["a flight", *([f"to {place}"] if place else []), *([f"({day})"] if day else [])]
        )
    return _TOPICS.get(intent)


def _listed(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _turns(message: ChatMessage) -> list[tuple[str, str]]:
    """Return the turns in a message: itself, or the lines of a transcript written into it."""
    if message.role not in ("user", "assistant") or not message.text.strip():
        return []
    lines = [
        (_LINE.match(line), line.strip()) for line in message.text.splitlines() if line.strip()
    ]
    if not any(match for match, _ in lines):
        return [(message.role, message.text.strip())]
    return [
        ("user" if match is None or match["who"].lower() in _USERS else "assistant", said)
        for match, line in lines
        for said in [match["said"] if match else line]
    ]
