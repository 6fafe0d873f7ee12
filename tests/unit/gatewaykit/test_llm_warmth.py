"""What a request to the model does not make a caller wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2 as httpx
import pytest
from livekit.agents import Agent, function_tool, llm
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit import llm as gateway_llm
from livekit.plugins.gatewaykit.schemas import ToolContext


async def test_only_an_idle_connection_is_kept_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"object": "list", "data": []})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    model = aigateway.LLM(base_url="http://127.0.0.1/v1", api_key="none", http_client=client)

    async def keep_warm() -> int:
        model.keep_warm()
        if model._prewarm_task is not None:
            await model._prewarm_task
        return len(asked)

    assert await keep_warm() == 1
    assert await keep_warm() == 1
    monkeypatch.setattr(gateway_llm, "_IDLE_S", 0.0)
    assert await keep_warm() == 2
    assert set(asked) == {"/v1/models"}
    await model.aclose()
    await client.aclose()


async def test_tool_schemas_are_written_once_and_as_the_framework_writes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Clock(Agent):
        @function_tool
        async def tell_time(self, zone: str) -> str:
            """Tell the time.

            Args:
                zone: Where.
            """
            return zone

        @function_tool
        async def tell_day(self) -> str:
            """Tell the day."""
            return "Monday"

    written = 0
    write = llm.utils.build_legacy_openai_schema

    def counted(tool: Any) -> dict[str, Any]:
        nonlocal written
        written += 1
        return write(tool)

    def schemas(tools: Sequence[llm.Tool | llm.Toolset]) -> Any:
        return ToolContext(tools).parse_function_tools("openai", strict=False)

    monkeypatch.setattr(llm.utils, "build_legacy_openai_schema", counted)
    first, second = (Clock(instructions="").tools for _ in range(2))
    plain = llm.ToolContext(first).parse_function_tools("openai", strict=False)
    assert written == 2
    for tools in (first, first, second):  # bound to another agent, it is the same tool
        assert schemas(tools) == plain
    assert written == 2 + 2
    assert schemas(first[:1]) == plain[:1]
    assert written == 2 + 2 + 1
