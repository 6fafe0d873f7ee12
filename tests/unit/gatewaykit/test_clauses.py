"""Clauses of a reply: out early, and nothing split that is said as one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins.gatewaykit.clauses import ClauseTokenizer

ATOMS = (
    "1,200", "3.14", "10:30", "10:30.", "$5,99", "anna.b@example.com", "https://a.b/c?d=e,f",
    "www.example.com", "e.g.", "p.m.", "Dr.", "v1.8.9", "1:2", "12,5%", "J.", "e-mail", "U.S.",
    "16:9,", "half-past", "0.5,", "https://example.com/x:y",
)  # fmt: skip
WORDS = ("sure", "your", "lamp", "and", "on", "it", "comes", "Monday", "hello", "to", "well")


def clauses_of(pieces: list[str]) -> list[str]:
    """What comes out when a text comes in pieces."""

    async def main() -> list[str]:
        stream = ClauseTokenizer().stream()
        for piece in pieces:
            stream.push_text(piece)
        stream.end_input()
        return [clause.token async for clause in stream]

    return asyncio.run(main())


def ready_after(text: str) -> list[str]:
    """What has left when `text` has come in, token by token, and more may follow."""

    async def main() -> list[str]:
        stream = ClauseTokenizer().stream()
        for char in text:
            stream.push_text(char)
        await stream.aclose()
        return [clause.token async for clause in stream]

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("Sure,", ["Sure,"]),
        ("Sure", []),
        ("Your lamp is on its way,", ["Your lamp is on its way,"]),
        ("One thing: it", ["One thing:"]),
        ("One thing:", []),
        ("It costs 1,", []),
        ("Well — it", ["Well —"]),
        ("Your new lamp will arrive on Mon", ["Your new lamp will arrive"]),
        ("Your new lamp will arrive on", []),
        ("We leave at 10:30, then", ["We leave at 10:30,"]),
        ("Write to anna@example.com, please", ["Write to anna@example.com,"]),
        (", and", []),
        ("好的，请", ["好的，"]),
    ],
)
def test_the_first_clause_leaves_at_once(text: str, ready: list[str]) -> None:
    assert ready_after(text) == ready


def test_once_the_voice_is_busy_sentences_are_kept_whole() -> None:
    text = "Sure, let me look for that one, please. It is green, round and here, and it is yours."
    assert ready_after(text) == [
        "Sure,",
        "let me look for that one,",
        "please.",
        "It is green, round and here, and it is yours.",
    ]


@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(ATOMS),
            st.builds(
                str.__add__, st.sampled_from(WORDS), st.sampled_from(["", ",", ".", "?", ";"])
            ),
        ),
        min_size=1,
        max_size=20,
    ),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_nothing_is_lost_doubled_or_split_however_it_comes_in(
    words: list[str], cuts: list[int]
) -> None:
    text = " ".join(words)
    pieces, at, turn = [], 0, 0
    while at < len(text):
        end = at + cuts[turn % len(cuts)]
        # Models' tokens join a dot to what follows it within a word: "anna", ".b", "@example".
        while text[end - 1 : end] in (".", "?") and text[end : end + 1].strip():
            end += 1
        pieces.append(text[at:end])
        at, turn = end, turn + 1
    assert [word for clause in clauses_of(pieces) for word in clause.split()] == words
