"""`console --text`: the agent, its tools and the brain behind the gateway, without sound."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config import load_settings
from agent.text_console import converse
from gateway.config import GatewayConfig
from gateway.server import Gateway


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway(GatewayConfig(port=0)) as running:
        yield running


async def talk(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, folder: Path, *said: str) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOCAL_GATEWAY_URL", gateway.url)
    monkeypatch.setenv("AGENT_LLM", "local:brain")
    heard = io.StringIO()
    lines = io.StringIO("".join(f"{line}\n" for line in said))
    await converse(load_settings(), source=lines, sink=heard)
    return heard.getvalue()


async def test_a_conversation_with_tools(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard = await talk(
        gateway,
        monkeypatch,
        tmp_path,
        "where is my order? my email is peter at example dot com",
        "book me a flight to Lisbon on Friday",
        "order the usual",
        "what is on my calendar tomorrow?",
    )
    assert "this is Parley" in heard
    assert '(lookup_order {"email": "peter@example.com"})' in heard
    assert "desk lamp" in heard
    assert "booked to Lisbon on Friday" in heard
    assert "coffee" in heard
    assert "dentist" in heard


async def test_a_goodbye_ends_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard = await talk(gateway, monkeypatch, tmp_path, "thanks, goodbye", "where is my order?")
    assert heard.rstrip().endswith("Goodbye!")
    assert "lookup_order" not in heard
