from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.config import Limits
from gateway.errors import ProtocolError
from gateway.wire.openai_chat import (
    ChatRequest,
    ChunkEncoder,
    TextDelta,
    ToolCallDelta,
    Usage,
    decode_request,
)

ENCODER = ChunkEncoder(request_id="chatcmpl-1", created_s=17, model="m")
TOOL = {"type": "function", "function": {"name": "lookup_order", "parameters": {}}}


def _decode(**fields: object) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields
    return decode_request(json.dumps(body).encode(), limits=Limits())


def _event(data: bytes) -> dict[str, Any]:
    assert data.startswith(b"data: ")
    assert data.endswith(b"\n\n")
    event: dict[str, Any] = json.loads(data[6:])
    return event


def test_plain_request() -> None:
    request = _decode()
    assert (request.model, request.stream, request.include_usage) == ("m", False, False)
    assert [(m.role, m.text) for m in request.messages] == [("user", "hi")]
    assert request.tools == frozenset()
    assert request.max_tokens is None


def test_streamed_request_with_tools() -> None:
    request = _decode(
        stream=True, stream_options={"include_usage": True}, tools=[TOOL], max_completion_tokens=9
    )
    assert request.stream
    assert request.include_usage
    assert request.tools == {"lookup_order"}
    assert request.max_tokens == 9


def test_tools_that_may_not_be_chosen_are_not_offered() -> None:
    assert _decode(tools=[TOOL], tool_choice="none").tools == frozenset()


def test_conversation_with_a_tool_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = _decode(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ]
    )
    developer, user, assistant, tool = request.messages
    assert developer.text == "Be kind."
    assert user.text == "hi"
    assert assistant.tool_calls[0].name == "f"
    assert (tool.tool_call_id, tool.text) == ("c1", "done")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": 1},
        {"model": None},
        {"messages": []},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"role": "robot", "content": "hi"}]},
        {"messages": [{"role": [], "content": "hi"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user", "content": ["hi"]}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": {}}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": ["x"]}]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": 4}]},
        {"tools": {}},
        {"tools": [{}]},
        {"tools": [{"function": {"name": 1}}]},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1.5},
    ],
)
def test_wrong_requests(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        _decode(**wrong)


def test_text_chunks() -> None:
    assert _event(ENCODER.role())["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    event = _event(ENCODER.delta(TextDelta(text="Grüße\n")))
    assert event["choices"][0] == {
        "index": 0,
        "delta": {"content": "Grüße\n"},
        "finish_reason": None,
    }
    assert (event["id"], event["created"], event["model"]) == ("chatcmpl-1", 17, "m")
    assert event["object"] == "chat.completion.chunk"


def test_only_the_first_chunk_of_a_tool_call_names_it() -> None:
    first = _event(ENCODER.delta(ToolCallDelta(index=0, call_id="c1", name="f")))
    more = _event(ENCODER.delta(ToolCallDelta(index=0, arguments='{"a"')))
    assert first["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]
    assert more["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "function": {"arguments": '{"a"'}}
    ]


def test_end_of_stream() -> None:
    finish = _event(ENCODER.finish("tool_calls"))
    assert finish["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    usage = _event(ENCODER.usage(Usage(prompt_tokens=3, completion_tokens=4)))
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 7


def test_whole_completion_joins_the_deltas() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    text = ENCODER.completion(
        [TextDelta(text="Hello"), TextDelta(text=" there.")], reason="stop", usage=usage
    )
    assert text["choices"][0]["message"] == {"role": "assistant", "content": "Hello there."}  # type: ignore[index]
    deltas = [
        ToolCallDelta(index=0, call_id="c1", name="f"),
        ToolCallDelta(index=0, arguments='{"a":'),
        ToolCallDelta(index=0, arguments="1}"),
    ]
    call = ENCODER.completion(deltas, reason="tool_calls", usage=usage)
    message = call["choices"][0]["message"]  # type: ignore[index]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]
