from __future__ import annotations

import pytest

from tests.wer import wer


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Hello, world!", "hello world"),
        ("order 4812", "Order four eight one two."),
        ("twenty one lamps", "21 lamps"),
        ("anna at example dot com", "anna@example.com."),
    ],
)
def test_writing_does_not_count(said: str, heard: str) -> None:
    assert wer(said, heard) == 0


def test_counts_each_kind_of_error() -> None:
    assert wer("a b c d", "a x c d") == 0.25  # substitution
    assert wer("a b c d", "a c d") == 0.25  # deletion
    assert wer("a b c d", "a b b c d") == 0.25  # insertion
    assert wer("a b", "") == 1


def test_reference_without_words() -> None:
    with pytest.raises(ValueError, match="no words"):
        wer("...", "a")
