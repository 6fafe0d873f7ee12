"""Every decoder takes what it is given or raises ProtocolError, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Limits
from gateway.engines.brain.policy import decide
from gateway.errors import ProtocolError
from gateway.wire.aigateway import (
    SttControl,
    decode_stt_query,
    decode_stt_text,
    decode_tts_query,
    decode_tts_text,
)
from gateway.wire.openai_chat import decode_request

LIMITS = Limits()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    "model messages role content tool_calls function name arguments id tools tool_choice stream "
    "stream_options max_tokens tool_call_id type".split()
)
CHAT = st.recursive(
    JSON | st.sampled_from(["user", "assistant", "tool", "system", "text", "none"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@given(st.text(max_size=200))
def test_text_frames(text: str) -> None:
    with suppress(ProtocolError):
        control = decode_stt_text(text, limits=LIMITS)
        assert control is None or isinstance(control, SttControl)
    with suppress(ProtocolError):
        assert isinstance(decode_tts_text(text, limits=LIMITS), str)


@given(st.dictionaries(st.sampled_from(["type", "text", "x"]), JSON))
def test_json_frames(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    with suppress(ProtocolError):
        decode_stt_text(text, limits=LIMITS)
    with suppress(ProtocolError):
        assert isinstance(decode_tts_text(text, limits=LIMITS), str)


@given(
    st.dictionaries(
        st.sampled_from(
            ["model", "endpointing", "interim_results", "sample_rate", "encoding", "channels"]
        ),
        st.text(max_size=12),
    )
)
def test_queries(query: dict[str, str]) -> None:
    with suppress(ProtocolError):
        options = decode_stt_query(query)
        assert options.endpointing_ms is None or 0 <= options.endpointing_ms <= 10_000
    with suppress(ProtocolError):
        decode_tts_query(query)


@given(st.dictionaries(NAMES, CHAT, max_size=6))
def test_chat_requests(body: dict[str, Any]) -> None:
    with suppress(ProtocolError):
        decode_request(json.dumps(body).encode(), limits=LIMITS)


MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        "content": st.text(max_size=60)
        | st.sampled_from(
            [
                "Where is my order?",
                "anna at example dot com",
                "Book a flight to Lisbon on Friday",
                "never mind",
                '{"summary": 3}',
                '{"error": "no"}',
                "Say: hello",
            ]
        ),
    }
)


@given(st.lists(MESSAGE, min_size=1, max_size=8), st.booleans())
def test_the_brain_has_an_answer_to_any_conversation(
    messages: list[dict[str, str]], with_tools: bool
) -> None:
    tools = [{"type": "function", "function": {"name": "lookup_order"}}] if with_tools else None
    body = {"model": "local/brain", "messages": messages, "tools": tools}
    action = decide(decode_request(json.dumps(body).encode(), limits=LIMITS))
    assert getattr(action, "text", None) or getattr(action, "name", None) == "lookup_order"
