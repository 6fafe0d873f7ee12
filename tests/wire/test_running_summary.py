"""The running summary, written by the brain behind the gateway."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import llm
from livekit.plugins import aigateway

from agent.history import RunningSummary, window
from gateway.config import GatewayConfig
from gateway.server import Gateway

WINDOW = 6


def conversation(turns: int) -> llm.ChatContext:
    ctx = llm.ChatContext.empty()
    ctx.add_message(role="system", content="Be kind.")
    ctx.add_message(role="user", content="My email is peter@example.com.")
    ctx.add_message(role="assistant", content="Thank you. Order 4812 arrives on Monday.")
    for number in range(turns):
        ctx.add_message(role="user", content=f"What about point {number}?")
        ctx.add_message(role="assistant", content=f"Point {number} is fine.")
    return ctx


async def written(summary: RunningSummary) -> str:
    async with asyncio.timeout(10):
        while not summary.text:
            await asyncio.sleep(0.02)
    return summary.text


async def test_what_leaves_the_window_is_summarised_and_sent() -> None:
    async with Gateway(GatewayConfig(port=0)) as gateway:
        model = aigateway.LLM(model="local/brain", base_url=gateway.url, api_key="local")
        async with model:
            summary = RunningSummary(model=model, max_items=WINDOW)
            long = conversation(8)
            summary.observe(long)
            text = await written(summary)
            sent = [m.text_content or "" for m in window(
                long, max_items=WINDOW, summary=text
            ).messages()]  # fmt: skip
            await summary.aclose()
    assert "peter@example.com" in text
    assert any(text in message for message in sent)
    assert not any("My email" in message for message in sent[2:])


async def test_a_short_conversation_asks_for_no_summary() -> None:
    async with Gateway(GatewayConfig(port=0)) as gateway:
        model = aigateway.LLM(model="local/brain", base_url=gateway.url, api_key="local")
        async with model:
            summary = RunningSummary(model=model, max_items=WINDOW)
            summary.observe(conversation(2))
            await asyncio.sleep(0.2)
            assert gateway.stats.snapshot()["llm"]["opened"] == 0
            await summary.aclose()


async def test_a_failed_summary_leaves_the_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with Gateway(GatewayConfig(port=0)) as gateway:
        model = aigateway.LLM(model="local/nobody", base_url=gateway.url, api_key="local")
        async with model:
            summary = RunningSummary(model=model, max_items=WINDOW)
            summary.observe(conversation(8))
            async with asyncio.timeout(10):
                while not any(r.name == "parley.history" for r in caplog.records):
                    await asyncio.sleep(0.02)
            assert summary.text == ""
            await summary.aclose()
