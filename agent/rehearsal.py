"""A first answer, before anybody asks: the model's client and the tools do their first-time work.

The openai client builds its validators when the first chunk of an answer comes, and a tool's schema
is written when it is first sent. Both are kept, and both would be heard as a late first answer.
"""

from __future__ import annotations

import json

import httpx2 as httpx
from livekit.agents import llm
from livekit.agents.llm.tool_context import find_function_tools
from livekit.plugins import aigateway

from .assistant import Assistant
from .phone.assistant import PhoneAssistant

_CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_DELTAS = ({"role": "assistant", "content": "Sure,"}, {"tool_calls": [_CALL]})
_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


async def rehearse() -> None:
    """Ask a model that is not there, with every agent's tools, and read its answer."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(_answer))
    model = aigateway.LLM(base_url="http://localhost/v1", api_key="none", http_client=client)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Is anybody there?")
    for agent in (Assistant, PhoneAssistant):
        # Bound to anything, a tool has the schema that it has in a call.
        tools: list[llm.Tool] = [tool.__get__(object()) for tool in find_function_tools(agent)]
        async with model.chat(chat_ctx=context, tools=tools) as stream:
            async for _ in stream:
                pass
    await model.aclose()
    await client.aclose()


def _answer(_: httpx.Request) -> httpx.Response:
    chunks = [_chunk(delta, None) for delta in _DELTAS]
    chunks.append(_chunk({}, "tool_calls") | {"usage": _USAGE})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=f"{events}data: [DONE]\n\n".encode(),
    )


def _chunk(delta: object, finish_reason: str | None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "none"}
    return head | {"choices": [choice]}
