from __future__ import annotations

import pytest

from caller.expect import Phrase, words


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("desk lamp", "Your desk lamp, order 4812, has shipped."),
        ("desk lamp", "Your desklamp has shipped."),
        ("desk lamp", "Your desk lamb has shipped."),
        ("anna", "Thank you, Hannah."),
        ("4812", "It is order 4,812."),
        ("what's on", "Whats on today?"),
        ("/arrives? (on )?monday/", "It ARRIVES Monday."),
    ],
)
def test_found(phrase: str, heard: str) -> None:
    assert Phrase(phrase).found_in(heard)


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("Monday", "It arrives on Sunday."),
        ("4812", "It is order 4813."),
        ("desk lamp", "Your desk has shipped with a new tall white lamp."),
        ("lamp", ""),
        ("/^monday/", "on Monday"),
        ("Paris", "I booked a flight to Lisbon."),
    ],
)
def test_not_found(phrase: str, heard: str) -> None:
    assert not Phrase(phrase).found_in(heard)


@pytest.mark.parametrize("text", ["", "  ", "?!", "/(/"])
def test_an_expectation_that_cannot_be_met_or_missed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expectation needs words|not a regular expression"):
        Phrase(text)


def test_words_have_neither_case_nor_punctuation() -> None:
    assert words("It's 1,234 lamps, isn’t it?") == ["its", "1234", "lamps", "isnt", "it"]
