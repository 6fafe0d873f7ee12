"""A barge-in over a model that is still writing: silence, closed requests, an honest history."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from caller.ears import Ears
from caller.room import Caller
from demo.stack import Ports, Stack, StackConfig

from .scripted_model import ScriptedModel

CITIES = "Paris London Rome Berlin Madrid Vienna Athens Dublin Moscow Sydney Boston Chicago".split()
STORY = [f"Then he travelled on to {city} and stayed there for a week." for city in CITIES]
STAGES = ("llm", "tts")
PACE_S = 1.0  # slower than the voice: the model is still writing when it is interrupted


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(
        replies={"story": STORY, "": ["It is noon."]}, pace_s=PACE_S
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(model: ScriptedModel) -> AsyncIterator[Stack]:
    config = StackConfig(ports=Ports.free(), gateway_args=["--llm-url", model.url])
    async with Stack(config) as running:
        yield running


async def test_a_barge_in_silences_closes_and_keeps_only_what_was_heard(
    call: Callable[..., Caller], stack: Stack, model: ScriptedModel, ears: Ears
) -> None:
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        before = await stack.gateway_stats()
        await caller.say("Please tell me a story.")
        await caller.barge_in("Stop, please. What time is it now?", after_ms=5000)
        reply = await caller.hear_reply()
        await closed_by_client(stack, before)

    assert reply.barge_in_stop_ms is not None
    assert 0 < reply.barge_in_stop_ms < 1000

    assert reply.before is not None
    heard = cities(await ears.transcribe(reply.before.pcm))
    kept = cities(story_in_history(model))
    assert kept == CITIES[: len(kept)]
    assert 0 < len(kept) < len(CITIES)
    assert abs(len(kept) - len(heard)) <= 1, (kept, heard)


async def closed_by_client(
    stack: Stack, before: dict[str, dict[str, int]], timeout_s: float = 5.0
) -> None:
    """Wait until the gateway has seen the model's and the voice's requests closed half-way."""
    async with asyncio.timeout(timeout_s):
        while True:
            now = await stack.gateway_stats()
            closed = [now[s]["closed_by_client"] > before[s]["closed_by_client"] for s in STAGES]
            if all(closed):
                return
            await asyncio.sleep(0.05)


def story_in_history(model: ScriptedModel) -> str:
    """What the last request says that the agent had said before it was interrupted."""
    said = [str(item["content"]) for item in model.requests[-1] if item["role"] == "assistant"]
    return next(text for text in said if "travelled" in text)


def cities(text: str) -> list[str]:
    return re.findall("|".join(CITIES), text)
