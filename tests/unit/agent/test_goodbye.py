from __future__ import annotations

import pytest

from agent.goodbye import is_goodbye


@pytest.mark.parametrize(
    "text",
    [
        "bye",
        "Bye.",
        "Goodbye!",
        "good bye",
        "Bye-bye!",
        "hang up",
        "Please hang up now.",
        "OK, thank you, goodbye.",
        "That's all for today, thanks. Bye!",
        "Goodbye, goodbye.",
        "Hang up the phone, please.",
    ],
)
def test_goodbyes(text: str) -> None:
    assert is_goodbye(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "Don't hang up!",
        "Please do not hang up.",
        "Did you say goodbye to the lamp?",
        "I want to buy a lamp.",
        "Goodbye is a song by Spice Girls, right?",
        "by Monday",
        "My order is Bye Bye Birdie.",
    ],
)
def test_everything_else_goes_on(text: str) -> None:
    assert not is_goodbye(text)
