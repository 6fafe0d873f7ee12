"""Spoken text has no markup, and plain words are not held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable

from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.voice.transcription.filters import filter_markdown

from agent.speech.plain import without_markdown

Filter = Callable[[AsyncIterable[str]], AsyncIterable[str]]
MARKUP = (
    "**sure**", "*so*", "_yes_", "`code`", "[here](https://a.b)", "# Heading", "- one", "> said",
    "5 * 3", "snake_case", "~~no~~", "\n", "\n- two", "1,200", "it's", "e-mail", "Sure,", "well",
)  # fmt: skip


def filtered(pieces: list[str], by: Filter) -> str:
    async def source() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    async def main() -> str:
        return "".join([out async for out in by(source())])

    return asyncio.run(main())


@given(
    words=st.lists(st.sampled_from(MARKUP), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 6), min_size=1, max_size=5),
)
def test_the_result_is_the_framework_filters(words: list[str], cuts: list[int]) -> None:
    text = " ".join(words)
    pieces: list[str] = []
    at = 0
    while at < len(text):
        end = at + cuts[len(pieces) % len(cuts)]
        pieces.append(text[at:end])
        at = end
    assert filtered(pieces, without_markdown) == filtered(pieces, filter_markdown)


async def test_plain_words_leave_before_the_next_ones_come() -> None:
    asked_for = 0

    async def source() -> AsyncIterator[str]:
        nonlocal asked_for
        for piece in ("Sure,", " it", " comes"):
            asked_for += 1
            yield piece

    pieces = without_markdown(source())
    for count, piece in enumerate(("Sure,", " it", " comes"), start=1):
        assert await anext(pieces) == piece
        assert asked_for == count
    assert await anext(pieces, None) is None
