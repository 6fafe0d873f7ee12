"""OpenAI's chat completions: request, plain response, and the stream of server-sent events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.config import Limits
from gateway.errors import ProtocolError
from gateway.wire.strict_json import JsonObject, JsonValue, dumps, loads_object

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "tool_calls", "length"]

SSE_DONE = b"data: [DONE]\n\n"
"""Last event of every stream."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a tool by the assistant; `arguments` is JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """One message of the conversation."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What is asked for, reduced to what the engines here look at."""

    model: str
    messages: tuple[ChatMessage, ...]
    tools: frozenset[str]
    """Names of the tools that may be called; empty when `tool_choice` forbids them."""
    stream: bool
    include_usage: bool
    max_tokens: int | None
    body: JsonObject
    """The request as it came, to be sent on to another server."""


@dataclass(frozen=True, kw_only=True)
class TextDelta:
    """Some more text of the answer."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ToolCallDelta:
    """Some more of a tool call; the first delta of a call has its id and name."""

    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int

    def as_dict(self) -> dict[str, int]:
        """Return OpenAI's `usage` object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


ChatDelta: TypeAlias = TextDelta | ToolCallDelta


def _string(value: JsonValue | None, name: str) -> str:
    if not isinstance(value, str):
        raise ProtocolError(f"'{name}' must be a string")
    return value


def _text_of(content: JsonValue) -> str:
    """Join the text parts of a message's content; images and audio are passed over."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ProtocolError("'content' must be a string or a list of parts")
    texts = []
    for part in content:
        if not isinstance(part, dict):
            raise ProtocolError("each part of 'content' must be an object")
        if part.get("type") == "text":
            texts.append(_string(part.get("text"), "content.text"))
    return "\n".join(texts)


def _tool_calls(value: JsonValue) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ProtocolError("'tool_calls' must be a list")
    calls = []
    for item in value:
        function = item.get("function") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(function, dict):
            raise ProtocolError("each tool call must be an object with a 'function'")
        calls.append(
            ToolCall(
                call_id=_string(item.get("id"), "tool_calls.id"),
                name=_string(function.get("name"), "tool_calls.function.name"),
                arguments=_string(function.get("arguments"), "tool_calls.function.arguments"),
            )
        )
    return tuple(calls)


def _messages(value: JsonValue) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value:
        raise ProtocolError("'messages' must be a list with at least one message")
    messages = []
    for item in value:
        if not isinstance(item, dict):
            raise ProtocolError("each message must be an object")
        role = _ROLES.get(_string(item.get("role"), "role"))
        if role is None:
            raise ProtocolError("'role' must be one of " + ", ".join(_ROLES))
        call_id = item.get("tool_call_id")
        messages.append(
            ChatMessage(
                role=role,
                text=_text_of(item.get("content")),
                tool_calls=_tool_calls(item.get("tool_calls")),
                tool_call_id="" if call_id is None else _string(call_id, "tool_call_id"),
            )
        )
    return tuple(messages)


def _tool_names(tools: JsonValue, choice: JsonValue) -> frozenset[str]:
    if tools is None or choice == "none":
        return frozenset()
    if not isinstance(tools, list):
        raise ProtocolError("'tools' must be a list")
    names = set()
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict):
            raise ProtocolError("each tool must be an object with a 'function'")
        names.add(_string(function.get("name"), "tools.function.name"))
    return frozenset(names)


def _max_tokens(body: JsonObject) -> int | None:
    value = body.get("max_completion_tokens", body.get("max_tokens"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ProtocolError("'max_tokens' must be a whole number greater than zero")
    return value


def decode_request(data: bytes, *, limits: Limits) -> ChatRequest:
    """Decode the body of a chat request; fields not known here stay in `body`.

    Raises:
        ProtocolError: for a body that is not a chat request.
    """
    body = loads_object(data, max_bytes=limits.max_chat_body_bytes, max_depth=limits.max_json_depth)
    options = body.get("stream_options")
    return ChatRequest(
        model=_string(body.get("model"), "model"),
        messages=_messages(body.get("messages")),
        tools=_tool_names(body.get("tools"), body.get("tool_choice")),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_max_tokens(body),
        body=body,
    )


def _sse(event: object) -> bytes:
    return b"data: " + dumps(event).encode() + b"\n\n"


def _delta_object(delta: ChatDelta) -> dict[str, object]:
    if isinstance(delta, TextDelta):
        return {"content": delta.text}
    call: dict[str, object] = {"index": delta.index}
    function: dict[str, str] = {"arguments": delta.arguments}
    if delta.call_id is not None and delta.name is not None:
        call |= {"id": delta.call_id, "type": "function"}
        function = {"name": delta.name, "arguments": delta.arguments}
    call["function"] = function
    return {"tool_calls": [call]}


@dataclass(frozen=True, kw_only=True)
class ChunkEncoder:
    """Encodes the events of one streamed answer."""

    request_id: str
    created_s: int
    """Unix time, as OpenAI's `created` wants it."""
    model: str

    def _chunk(self, choices: list[dict[str, object]]) -> dict[str, object]:
        return {
            "id": self.request_id,
            "object": "chat.completion.chunk",
            "created": self.created_s,
            "model": self.model,
            "choices": choices,
        }

    def role(self) -> bytes:
        """Encode the first event, which only names the speaker."""
        delta = {"role": "assistant", "content": ""}
        return _sse(self._chunk([{"index": 0, "delta": delta, "finish_reason": None}]))

    def delta(self, delta: ChatDelta) -> bytes:
        """Encode more text, or more of a tool call."""
        choice: dict[str, object] = {"index": 0, "delta": _delta_object(delta)}
        return _sse(self._chunk([choice | {"finish_reason": None}]))

    def finish(self, reason: FinishReason) -> bytes:
        """Encode the event that says why the answer ended."""
        return _sse(self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}]))

    def usage(self, usage: Usage) -> bytes:
        """Encode the event with the usage, which has no choices."""
        return _sse(self._chunk([]) | {"usage": usage.as_dict()})

    def completion(
        self, deltas: Sequence[ChatDelta], *, reason: FinishReason, usage: Usage
    ) -> dict[str, object]:
        """Build the response for a request that did not ask for a stream."""
        text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
        message: dict[str, object] = {"role": "assistant", "content": text or None}
        calls: dict[int, dict[str, str]] = {}
        for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.call_id or ""
                call["name"] += delta.name or ""
                call["arguments"] += delta.arguments
        if calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in calls.values()
            ]
        return {
            "id": self.request_id,
            "object": "chat.completion",
            "created": self.created_s,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": usage.as_dict(),
        }


def error_object(
    message: str, *, kind: str, code: str | None = None, param: str | None = None
) -> dict[str, object]:
    """Build OpenAI's error body, which every HTTP error of the gateway carries."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
