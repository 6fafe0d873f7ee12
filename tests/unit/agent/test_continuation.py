"""Joining two models' answers: whole, and nothing twice, however the second one goes on."""

from __future__ import annotations

import pytest
from livekit.agents import llm

from agent.chain.continuation import Continuation, continued

SAID = "Your lamp left the warehouse this morning. It comes to your"


def joined(said: str, *pieces: str) -> str:
    """What the caller hears in all."""
    rest = Continuation(said)
    return said + "".join(rest.push(piece) for piece in pieces) + rest.end()


@pytest.mark.parametrize("size", [1, 3, 7, 200])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(" door on Monday.", id="goes on"),
        pytest.param("door on Monday.", id="goes on, without the space"),
        pytest.param("comes to your door on Monday.", id="begins with the last words"),
        pytest.param("It comes to your door on Monday.", id="begins the sentence anew"),
        pytest.param(f"{SAID} door on Monday.", id="writes everything anew"),
        pytest.param(f"{SAID.upper()}  door on Monday.", id="in capitals, other spaces"),
    ],
)
def test_the_answer_is_whole_and_nothing_is_said_twice(written: str, size: int) -> None:
    pieces = [written[at : at + size] for at in range(0, len(written), size)]
    assert " ".join(joined(SAID, *pieces).split()) == f"{SAID} door on Monday."


def test_a_word_that_was_cut_is_finished() -> None:
    whole = "It left the warehouse."
    assert joined("It left the ware", "It left the ", "warehouse.") == whole
    assert joined("It left the ware", "ware", "house.") == whole
    # a model that knows nothing of halves of words: two words, which sound like one
    assert joined("It left the ware", "house.") == "It left the ware house."


def test_a_short_word_is_not_taken_for_the_beginning_of_another() -> None:
    assert joined("This is a", "and so on") == "This is a and so on"


def test_nothing_is_left_of_an_answer_that_was_all_said() -> None:
    assert joined("It has shipped.", "It has ", "shipped.") == "It has shipped."
    assert joined("It has shipped.") == "It has shipped."


def test_other_words_begin_with_the_sentence_that_differs() -> None:
    anew = "Your lamp left the warehouse this morning. It comes on Monday."
    assert joined(SAID, anew) == f"{SAID} … It comes on Monday."
    assert joined("It has shipped.", " Anything else?") == "It has shipped. Anything else?"


def test_the_second_model_is_shown_what_was_said_and_the_first_conversation_stays() -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Where is my lamp?")
    second = continued(context, SAID)
    assert [m.role for m in second.messages()] == ["user", "assistant", "system"]
    assert second.messages()[1].text_content == SAID
    assert len(context.items) == 1
