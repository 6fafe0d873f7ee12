"""When a silence ends a turn: what each witness costs, and what is free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commit import Evidence, commit_delay
from agent.config import TurnSettings

SETTINGS = TurnSettings(
    finished_s=0.2,
    likely_s=0.35,
    unsure_s=0.6,
    dictation_s=1.2,
    unfinished_s=1.6,
    free_wait_s=0.8,
)
QUESTION = "what time does it open"
STATEMENT = "the shoes were too small"


@pytest.mark.parametrize(
    ("evidence", "seconds"),
    [
        (Evidence(text=QUESTION), 0.2),
        (Evidence(text="yes"), 0.2),
        (Evidence(text=STATEMENT, end_of_turn=0.9), 0.35),
        (Evidence(text=STATEMENT, end_of_turn=0.1), 0.6),
        (Evidence(text=STATEMENT), 0.6),
        (Evidence(text=""), 0.6),
        (Evidence(text="my number is four two"), 1.2),
        (Evidence(text="I would like a flight to", end_of_turn=0.99), 1.6),
    ],
)
def test_weaker_evidence_waits_longer(evidence: Evidence, seconds: float) -> None:
    assert commit_delay(evidence, SETTINGS) == seconds


@pytest.mark.parametrize(
    ("reply_after_s", "seconds"),
    [
        (None, 0.8),  # not there yet: at most the free wait
        (0.5, 0.5),  # the wait ends with the reply's first words
        (0.1, 0.2),  # a fast reply does not shorten what the evidence asks for
        (3.0, 0.8),
    ],
)
def test_the_wait_for_a_reply_is_free(reply_after_s: float | None, seconds: float) -> None:
    evidence = Evidence(text=QUESTION, speculating=True, reply_after_s=reply_after_s)
    assert commit_delay(evidence, SETTINGS) == seconds


@given(
    text=st.sampled_from([QUESTION, STATEMENT, "four two", "I need to", ""]),
    end_of_turn=st.none() | st.floats(0, 1),
    reply_after_s=st.none() | st.floats(0, 10),
)
def test_a_reply_ahead_never_makes_it_hasty_nor_slower_than_the_free_wait(
    text: str, end_of_turn: float | None, reply_after_s: float | None
) -> None:
    evidence = Evidence(text=text, end_of_turn=end_of_turn)
    ahead = Evidence(
        text=text, end_of_turn=end_of_turn, speculating=True, reply_after_s=reply_after_s
    )
    needed, given_ = commit_delay(evidence, SETTINGS), commit_delay(ahead, SETTINGS)
    assert needed <= given_ <= max(needed, SETTINGS.free_wait_s)
