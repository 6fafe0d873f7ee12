"""What a request to the model does not make a caller wait for."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from livekit.agents import function_tool, llm
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit import llm as gateway_llm
from livekit.plugins.gatewaykit.schemas import Schemas, ToolContext


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
    @function_tool
    async def tell_time(zone: str) -> str:
        """Tell the time.

        Args:
            zone: Where.
        """
        return zone

    @function_tool
    async def tell_day() -> str:
        """Tell the day."""
        return "Monday"

    written = 0
    write = llm.utils.build_legacy_openai_schema

    def counted(tool: Any) -> dict[str, Any]:
        nonlocal written
        written += 1
        return write(tool)

    monkeypatch.setattr(llm.utils, "build_legacy_openai_schema", counted)
    known: Schemas = {}
    plain = llm.ToolContext([tell_time]).parse_function_tools("openai", strict=False)
    for _ in range(3):
        context = ToolContext([tell_time], known=known)
        assert context.parse_function_tools("openai", strict=False) == plain
    both = ToolContext([tell_time, tell_day], known=known)
    assert len(both.parse_function_tools("openai", strict=False)) == 2
    assert written == 1 + 1 + 2
