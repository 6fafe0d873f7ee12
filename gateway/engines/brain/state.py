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
    email: str | None = None
    """Address given last; it serves later look-ups too."""
    intent: Intent = Intent.UNKNOWN
    """What the last utterance asked for."""
    answered_question: bool = False
    """The last utterance gave something that the open task was missing."""
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
        elif message.role in ("system", "developer"):
            # A summary of what has left the window may hold the address that was given in it.
            state.email = find_email(message.text) or state.email
        elif message.role == "assistant":
            if message.text.strip():
                state.last_reply = message.text.strip()
            for call in message.tool_calls:
                _note_call(state, call.arguments)
    return state


def _note_call(state: State, arguments: str) -> None:
    """A called tool settles the open task; its address is remembered even if the words are gone."""
    try:
        values = json.loads(arguments)
    except ValueError:
        values = {}
    if isinstance(values, dict) and isinstance(values.get("email"), str):
        state.email = values["email"]
    state.task = None
    state.slots = {}


def _hear(state: State, text: str) -> None:
    intent = classify(text)
    waiting_for = state.missing()
    state.intent = intent
    state.answered_question = False
    if intent in (Intent.CANCEL, Intent.NO, Intent.GOODBYE) and not find_email(text):
        state.task, state.slots = None, {}
        state.answered_question = waiting_for is not None
        return
    email = find_email(text)
    state.email = email or state.email
    if intent in TASKS and intent is not state.task and not _is_answer(state, waiting_for, intent):
        state.task, state.slots = intent, {}
    if state.task is None:
        return
    found = _found(state, text, waiting_for=waiting_for, intent=intent)
    state.slots |= found
    state.answered_question = waiting_for in found
    if state.task is Intent.ORDER and state.email is not None and waiting_for is None:
        state.slots.setdefault("email", state.email)


def _is_answer(state: State, waiting_for: str | None, intent: Intent) -> bool:
    """Whether "my e-mail is ..." continues the open task instead of beginning another one."""
    return waiting_for == "email" and intent is Intent.ORDER and state.task is not None


def _found(state: State, text: str, *, waiting_for: str | None, intent: Intent) -> dict[str, str]:
    found: dict[str, str] = {}
    if state.task is Intent.ORDER and (email := find_email(text)):
        found["email"] = email
    if state.task in (Intent.CALENDAR, Intent.FLIGHT) and (day := find_day(text)):
        found["day"] = day
    if state.task is Intent.FLIGHT:
        place = find_destination(text)
        is_bare = intent is Intent.UNKNOWN and len(words_of(text)) <= _MAX_BARE_ANSWER_WORDS
        if place is None and waiting_for == "destination" and is_bare:
            place = bare_destination(text)
        if place is not None:
            found["destination"] = place
    return found
