"""What words alone tell about the end of a turn."""

from __future__ import annotations

import pytest

from agent.words import Outlook, is_backchannel, outlook


@pytest.mark.parametrize(
    "text",
    [
        "Could you tell me what it costs?",
        "what is it for?",
        "how do I get there",
        "okay, and when does it open",
        "yes",
        "No, thanks.",
        "tomorrow",
        "My e-mail is anna at example dot com.",
    ],
)
def test_whole_questions_and_answers_are_finished(text: str) -> None:
    # An address may go on ("dot com dot au"), so it is merely open.
    expected = Outlook.OPEN if "e-mail" in text else Outlook.FINISHED
    assert outlook(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "I would like to book a flight to",
        "I would like to book a flight to.",  # recognisers put a full stop after any pause
        "My e-mail address, because",
        "So what I need is",
        "On Monday,",
        "well, um",
        "I'd like the",
        "Wait …",
    ],
)
def test_no_sentence_ends_like_this(text: str) -> None:
    assert outlook(text) is Outlook.UNFINISHED


@pytest.mark.parametrize(
    "text", ["my number is four two", "it is 4 2", "double seven", "my e-mail is anna at example"]
)
def test_digits_and_addresses_come_in_groups(text: str) -> None:
    assert outlook(text) is Outlook.DICTATING


@pytest.mark.parametrize(
    "text",
    [
        "the shoes were too tight for me",
        "Tell me where my order is",
        "I live in Berlin.",
        "",
        "¿Dónde está mi pedido",
        "我的订单",
    ],
)
def test_what_may_end_and_may_go_on_is_open(text: str) -> None:
    assert outlook(text) is Outlook.OPEN


@pytest.mark.parametrize("text", ["Mhm.", "mm-hmm", "Uh huh", "hm", "uh, um"])
def test_sounds_of_listening(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["", "…", "yes", "oh no", "stop", "hm, what"])
def test_words_are_more_than_sounds_of_listening(text: str) -> None:
    assert not is_backchannel(text)
