"""What a conversation is about by now, found by going through it from its start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.engines.brain.email import find_email
from gateway.engines.brain.intents import TASKS, Intent, classify
from gateway.engines.brain.slots import bare_destination, find_day, find_destination
from gateway.engines.brain.text import words_of
from gateway.wire.openai_chat import ChatMessage

_MAX_BARE_ANSWER_WORDS = 6
"""A longer utterance is not just the name of a place."""


@dataclass
class State:
    """The open task with what is known for it, and what outlives tasks."""

    task: Intent | None = None
    slots: dict[str, str] = field(default_factory=dict)
    task_is_fresh: bool = False
    """Something was said about the open task since the last reply. A task that is not fresh must
    not be carried out: its request was interrupted, and the caller has gone on to other things."""
    told: tuple[Intent, dict[str, str]] | None = None
    """The last task that was carried out and may be asked again with one thing changed: one that
    only told something, or one that failed."""
    email: str | None = None
    """Address given last; it serves later look-ups too."""
    intent: Intent = Intent.UNKNOWN
    """What the last utterance asked for."""
    dropped: bool = False
    """The last utterance called the open task off."""
    last_reply: str = ""
    """What the assistant said last."""

    def missing(self) -> str | None:
        """Return the name of the first slot that the open task still needs."""
        needed = {Intent.ORDER: ("email",), Intent.FLIGHT: ("destination", "day")}
        for name in needed.get(self.task, ()) if self.task else ():
            if name not in self.slots:
                return name
        return None


def track(messages: Iterable[ChatMessage]) -> State:
    """Go through the conversation and return where it stands."""
    state = State()
    for message in messages:
        if message.role == "user":
            _hear(state, message.text)
        elif message.role == "tool":
            _note_result(state, message.text)
        elif message.role == "assistant":
            _note_reply(state, message)
        else:
            # A summary of what has left the window may hold the address that was given in it.
            state.email = find_email(message.text) or state.email
    return state


def _note_reply(state: State, message: ChatMessage) -> None:
    state.task_is_fresh = False
    if message.text.strip():
        state.last_reply = message.text.strip()
    for call in message.tool_calls:
        # The address is remembered even if the words that gave it have left the window.
        email = _object(call.arguments).get("email")
        state.email = email if isinstance(email, str) else state.email
        state.told = (state.task, state.slots) if state.task is not None else None
        state.task, state.slots = None, {}


def _note_result(state: State, result: str) -> None:
    """Keep a task that succeeded from being done twice."""
    if state.told is None:
        return
    failed = "error" in _object(result)
    if state.told[0] is not Intent.CALENDAR and not failed:
        state.told = None


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _hear(state: State, text: str) -> None:
    intent = classify(text)
    waiting_for = state.missing()
    state.intent = intent
    state.dropped = False
    email = find_email(text)
    state.email = email or state.email
    if intent in (Intent.CANCEL, Intent.NO, Intent.GOODBYE):
        state.dropped = state.task is not None
        state.task, state.slots = None, {}
        return
    if intent in TASKS and intent is not state.task:
        state.task, state.slots = intent, {}
    found = _found(state.task, text, waiting_for=waiting_for, intent=intent)
    if state.task is None and intent is Intent.UNKNOWN and state.told is not None:
        changed = _found(state.told[0], text, waiting_for=None, intent=intent)
        if changed:
            state.task, state.slots, found = state.told[0], dict(state.told[1]), changed
    if state.task is None:
        return
    state.slots |= found
    state.task_is_fresh = state.task_is_fresh or intent in TASKS or bool(found)
    if state.task is Intent.ORDER and state.email is not None and waiting_for is None:
        state.slots.setdefault("email", state.email)


def _found(
    task: Intent | None, text: str, *, waiting_for: str | None, intent: Intent
) -> dict[str, str]:
    """Return what the text gives for a task."""
    found: dict[str, str] = {}
    if task is Intent.ORDER and (email := find_email(text)):
        found["email"] = email
    if task in (Intent.CALENDAR, Intent.FLIGHT) and (day := find_day(text)):
        found["day"] = day
    if task is Intent.FLIGHT:
        place = find_destination(text)
        is_bare = intent is Intent.UNKNOWN and len(words_of(text)) <= _MAX_BARE_ANSWER_WORDS
        if place is None and waiting_for == "destination" and is_bare:
            place = bare_destination(text)
        if place is not None:
            found["destination"] = place
    return found
