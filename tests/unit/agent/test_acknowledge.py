"""Acknowledgements: when one is said, which one, and that the answer is what the model wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import llm

from agent.speech.acknowledge import ACKNOWLEDGEMENTS, acknowledged, acknowledgement

ASK = "Could you tell me what it costs?"
TELL = "The screen has a scratch on it."


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        (ASK, "Let me see."),
        ("how much does the ticket cost", "Let me see."),
        ("Please book the early train for me.", "Let me see."),
        ("No, please take the later train.", "Let me see."),
        (TELL, "I see."),
        ("yes", ""),
        ("Thank you very much indeed.", ""),
        ("Yes, that is the one.", ""),
        ("Can you hear me now?", ""),
        ("What did you say?", ""),
        ("I would like to fly to", ""),
        ("my number is four two", ""),
        ("", ""),
    ],
)
def test_what_is_said_to_what(text: str, phrase: str) -> None:
    assert acknowledgement(text) == phrase


@given(text=st.text(max_size=60), before=st.sampled_from(ACKNOWLEDGEMENTS))
def test_never_the_same_twice_in_a_row(text: str, before: str) -> None:
    phrase = acknowledgement(text, before=before)
    assert phrase in ("", *ACKNOWLEDGEMENTS)
    assert phrase != before


class Model:
    """Writes `chunks` when it is told to."""

    def __init__(self, *chunks: llm.ChatChunk | str) -> None:
        self._chunks = chunks
        self.writes = asyncio.Event()
        self.closed = False

    async def answer(self) -> AsyncIterator[llm.ChatChunk | str]:
        try:
            await self.writes.wait()
            for chunk in self._chunks:
                yield chunk
        finally:
            self.closed = True


async def now() -> None:
    """The caller waits already."""


async def never() -> None:
    await asyncio.Event().wait()


def words(text: str) -> llm.ChatChunk:
    return llm.ChatChunk(id="1", delta=llm.ChoiceDelta(role="assistant", content=text))


async def test_it_is_said_to_a_caller_who_waits_and_the_answer_follows() -> None:
    model = Model(words(""), words("It comes"), words(" today."))
    said = acknowledged(model.answer(), over=now, say=lambda: "Let me see.")
    assert await anext(said) == "Let me see. "
    model.writes.set()
    assert [chunk async for chunk in said] == [words(""), words("It comes"), words(" today.")]


async def test_an_answer_that_is_quicker_needs_none() -> None:
    model = Model(words(""), words("It comes today."))
    model.writes.set()
    said = acknowledged(model.answer(), over=never, say=lambda: "Let me see.")
    assert [chunk async for chunk in said] == [words(""), words("It comes today.")]


async def test_what_is_thrown_away_leaves_nothing_running() -> None:
    model = Model(words("It comes today."))
    said = acknowledged(model.answer(), over=never, say=lambda: "Let me see.")
    reading = asyncio.ensure_future(anext(said))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert model.closed


async def test_the_models_failure_is_passed_on() -> None:
    async def fails() -> AsyncIterator[str]:
        raise ValueError("broken")
        yield ""

    with pytest.raises(ValueError, match="broken"):
        await anext(acknowledged(fails(), over=never, say=lambda: "Let me see."))
