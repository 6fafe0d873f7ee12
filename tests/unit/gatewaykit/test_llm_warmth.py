"""An idle connection to the model is used before somebody waits for it."""

from __future__ import annotations

import httpx2 as httpx
import pytest
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit import llm as gateway_llm


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
