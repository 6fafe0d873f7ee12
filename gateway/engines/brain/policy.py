"""What to do next in a conversation: say something, or call a tool."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from gateway.engines.brain import replies
from gateway.engines.brain.intents import Intent
from gateway.engines.brain.state import State, track
from gateway.engines.brain.summary import asks_for_summary, summarize
from gateway.wire.openai_chat import ChatMessage, ChatRequest

_MAX_TOOL_TEXT_CHARS = 400
_NAME = re.compile(r"\b[Yy]ou are ([A-Z]\w+)\b")
_SAY_QUOTED = re.compile(r"[\"“](?P<text>[^\"”]{2,400})[\"”]")
_GO_ON = re.compile(r"\bgo on exactly where\b", re.IGNORECASE)
"""Asks for the rest of the last message, which broke off on its way."""
_SAY_COLON = re.compile(
    r"^\s*(?:please\s+)?say\s*:\s*(?P<text>.{2,400})$", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Say:
    """Speak this."""

    text: str


@dataclass(frozen=True)
class CallTool:
    """Call this tool."""

    name: str
    arguments: dict[str, str] = field(default_factory=dict)


Action: TypeAlias = Say | CallTool

_TALK = {
    Intent.GOODBYE: replies.GOODBYE,
    Intent.THANKS: replies.THANKS,
    Intent.HOW_ARE_YOU: replies.HOW_ARE_YOU,
    Intent.ABOUT: replies.ABOUT,
    Intent.STORY: replies.STORY,
    Intent.JOKE: replies.JOKE,
    Intent.TIME: replies.TIME,
    Intent.YES: replies.YES,
    Intent.NO: replies.NO,
    Intent.UNKNOWN: replies.FALLBACK,
}
_QUESTIONS = {
    "email": (replies.ASK_EMAIL, replies.ASK_EMAIL_AGAIN),
    "destination": (replies.ASK_DESTINATION, replies.ASK_DESTINATION_AGAIN),
    "day": (replies.ASK_DAY, replies.ASK_DAY_AGAIN),
}


def decide(request: ChatRequest) -> Action:
    """Return what to do about the last message of the conversation."""
    messages = request.messages
    if len(messages) > 2 and messages[-2].role == "assistant" and _GO_ON.search(messages[-1].text):
        # all of it once more: whoever asks knows what has been said of it
        return decide(replace(request, messages=messages[:-2]))
    if not request.tools and asks_for_summary(messages):
        return Say(summarize(messages))
    last = messages[-1]
    if last.role == "tool":
        return Say(_tool_results(messages))
    is_opening = not any(message.role in ("user", "assistant") for message in messages)
    if last.role in ("system", "developer"):
        if is_opening and len(messages) == 1:
            return Say(_greeting(messages))
        return Say(_instructed(last.text, messages))
    return _reply(track(messages), request)


def _reply(state: State, request: ChatRequest) -> Action:
    if state.intent is Intent.REPEAT:
        return Say(state.last_reply or replies.NOTHING_TO_REPEAT)
    if state.task is not None and _is_about_the_task(state):
        return _pursue(state, request.tools)
    if state.intent is Intent.GREETING:
        return Say(replies.GREETING_AGAIN if state.last_reply else _greeting(request.messages))
    if state.intent is Intent.NAME:
        name = _assistant_name(request.messages)
        return Say(replies.NAME.format(name=name) if name else replies.NAME_UNKNOWN)
    if state.intent is Intent.CANCEL or (state.intent is Intent.NO and state.dropped):
        return Say(replies.CANCELLED)
    return Say(_TALK.get(state.intent, replies.FALLBACK))


def _is_about_the_task(state: State) -> bool:
    """Whether to go on with the open task, rather than to answer talk in between."""
    if state.task_is_fresh:
        return True
    return state.missing() is not None and state.intent in (Intent.UNKNOWN, Intent.YES)


def _pursue(state: State, tools: frozenset[str]) -> Action:
    """Go on with the open task: ask for what is missing, or call its tool."""
    call = {
        Intent.ORDER: CallTool("lookup_order", {"email": state.slots.get("email", "")}),
        Intent.CALENDAR: CallTool("check_calendar", {"day": state.slots.get("day", "today")}),
        Intent.FLIGHT: CallTool(
            "book_flight",
            {
                "destination": state.slots.get("destination", ""),
                "day": state.slots.get("day", ""),
            },
        ),
        Intent.USUAL: CallTool("order_the_usual"),
    }[state.task or Intent.USUAL]
    if call.name not in tools:
        return Say(replies.NO_TOOL)
    missing = state.missing()
    if missing is None:
        return call
    question, again = _QUESTIONS[missing]
    question = question.format_map(state.slots)
    asked_before = state.last_reply and state.last_reply in (question, again)
    return Say(again if asked_before else question)


def _tool_results(messages: tuple[ChatMessage, ...]) -> str:
    """Return what the tools that were called last have to say."""
    results: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results.insert(0, _tool_result(message.text))
    return " ".join(result for result in results if result) or replies.DONE


def _tool_result(text: str) -> str:
    try:
        result = json.loads(text)
    except ValueError:
        return text.strip()[:_MAX_TOOL_TEXT_CHARS]
    if isinstance(result, dict):
        for name in ("summary", "error"):
            if isinstance(result.get(name), str):
                return str(result[name]).strip()
        return ""
    return result.strip()[:_MAX_TOOL_TEXT_CHARS] if isinstance(result, str) else ""


def _assistant_name(messages: tuple[ChatMessage, ...]) -> str | None:
    for message in messages:
        if message.role in ("system", "developer") and (match := _NAME.search(message.text)):
            return match[1]
    return None


def _greeting(messages: tuple[ChatMessage, ...]) -> str:
    name = _assistant_name(messages)
    return replies.GREETING.format(name=f", this is {name}" if name else "")


def _instructed(instruction: str, messages: tuple[ChatMessage, ...]) -> str:
    """Do what a system message in mid-conversation asks for."""
    said = _SAY_COLON.match(instruction) or _SAY_QUOTED.search(instruction)
    if said is not None:
        return said["text"].strip()
    lower = instruction.lower()
    for words, reply in (
        (("goodbye", "farewell", "hang up", "end the call"), replies.GOODBYE),
        (("greet", "welcome", "hello", "introduce"), _greeting(messages)),
        (("apolog", "sorry"), replies.APOLOGY),
        (("what you can", "capabilities", "about yourself"), replies.ABOUT),
    ):
        if any(word in lower for word in words):
            return reply
    # Told to go on with the conversation: answer what the user said last.
    if any(message.role == "user" for message in messages):
        action = _reply(track(messages), _without_tools(messages))
        if isinstance(action, Say):
            return action.text
    return replies.YES


def _without_tools(messages: tuple[ChatMessage, ...]) -> ChatRequest:
    return ChatRequest(
        model="",
        messages=messages,
        tools=frozenset(),
        stream=False,
        include_usage=False,
        max_tokens=None,
        body={},
    )
