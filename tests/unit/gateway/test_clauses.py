from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.clauses import split_for_synthesis


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello.", ["Hello."]),
        ("Hello. How are you?", ["Hello.", "How are you?"]),
        ("Sure, let me check that for you.", ["Sure, let me check that for you."]),
        (
            "Your desk lamp has shipped, and it arrives on Monday morning.",
            ["Your desk lamp has shipped,", "and it arrives on Monday morning."],
        ),
        (
            "Yes. Your desk lamp has shipped, and it arrives on Monday morning.",
            ["Yes.", "Your desk lamp has shipped, and it arrives on Monday morning."],
        ),
        ("It costs 3.50 in all.", ["It costs 3.50 in all."]),
        ("...", []),
        ("", []),
        ("He said “stop.” Then he left.", ["He said “stop.”", "Then he left."]),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert list(split_for_synthesis(text)) == pieces


def test_long_text_without_any_end_is_bounded() -> None:
    pieces = list(split_for_synthesis("word " * 300))
    assert max(map(len, pieces)) <= 200
    assert " ".join(pieces).split() == ["word"] * 300
    assert max(map(len, split_for_synthesis("x" * 1_000))) <= 200


@given(st.text(alphabet="ab .,;!?-–\n1", max_size=600))
def test_nothing_that_can_be_spoken_is_lost(text: str) -> None:
    spoken = "".join(c for piece in split_for_synthesis(text) for c in piece if c.isalnum())
    assert spoken == "".join(c for c in text if c.isalnum())
