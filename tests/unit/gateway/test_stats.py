from __future__ import annotations

import pytest

from gateway.stats import Outcome, Stats


def test_each_connection_ends_in_one_counter() -> None:
    stats = Stats()
    for outcome in Outcome:
        with stats.call("stt") as call:
            assert stats.snapshot()["stt"]["open"] == 1
            call.outcome = outcome
    assert stats.snapshot()["stt"] == {
        "opened": 3,
        "open": 0,
        "closed_by_client": 1,
        "completed": 1,
        "errors": 1,
        "faults": 0,
    }
    assert stats.snapshot()["llm"]["opened"] == 0


def _leave(stats: Stats) -> None:
    with stats.call("tts") as call:
        call.outcome = Outcome.CLOSED_BY_CLIENT
        raise RuntimeError


def test_an_exception_is_an_error_unless_said_otherwise() -> None:
    stats = Stats()
    with pytest.raises(RuntimeError), stats.call("tts"):
        raise RuntimeError
    with pytest.raises(RuntimeError):
        _leave(stats)
    counts = stats.snapshot()["tts"]
    assert (counts["errors"], counts["closed_by_client"], counts["open"]) == (1, 1, 0)


def test_a_failure_outweighs_what_the_handler_made_of_it() -> None:
    stats = Stats()
    with stats.call("llm") as call:
        call.fail()
        call.outcome = Outcome.COMPLETED
    assert stats.snapshot()["llm"]["errors"] == 1


def test_a_snapshot_is_a_copy() -> None:
    stats = Stats()
    before = stats.snapshot()
    with stats.call("stt"):
        pass
    assert before["stt"]["opened"] == 0
