from __future__ import annotations

import pytest

from gateway.engines.plausibility import clean, is_loop, is_phantom, says_all_twice, unlooped


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" Hello,  there. ", "Hello, there."),
        ("[Music]", ""),
        ("(laughs) Yes.", "Yes."),
        ("*sighs* No.", "No."),
        ("♪ la la ♪", ""),
        ("...", ""),
        (".", ""),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Stop Stop Stop Stop",
        "It was the best of times. It was the worst. It was the worst. It was the worst. It was",
        "bye bye bye bye bye bye bye bye bye bye bye bye",
    ],
)
def test_loops(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello. Hello.",
        "It was the best of times, it was the worst of times. It was the age of wisdom, it was the "
        "age of foolishness. It was the epoch of belief, it was the epoch of incredulity.",
    ],
)
def test_speech_that_only_resembles_a_loop(text: str) -> None:
    assert not is_loop(text)


def test_said_twice() -> None:
    assert says_all_twice("Where is my order? Where is my order?")
    assert says_all_twice("Hello? Hello?")
    assert not says_all_twice("Where is my order?")
    assert not says_all_twice("No, no, it is the other one.")


def test_unlooped() -> None:
    assert unlooped("Where is my order? Where is my order?") == "Where is my order?"
    assert unlooped("It was the worst. It was the worst. It was") == "It was the worst."
    assert unlooped("Where is my order?") == "Where is my order?"


def test_phantoms() -> None:
    assert is_phantom("Thank you.", avg_logprob=-1.1, no_speech_prob=0.1)
    assert is_phantom("you", avg_logprob=-0.3, no_speech_prob=0.5)
    assert not is_phantom("Thank you.", avg_logprob=-0.8, no_speech_prob=0.2)
    assert not is_phantom("Bye.", avg_logprob=-1.1, no_speech_prob=0.2)
    assert is_phantom("The weather is nice.", avg_logprob=-1.2, no_speech_prob=0.8)
    assert not is_phantom("The weather is nice.", avg_logprob=-0.5, no_speech_prob=0.8)
