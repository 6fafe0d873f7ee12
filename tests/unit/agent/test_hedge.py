"""The race of a hedged request: one answer, whoever gives it, and the rest cancelled at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import pytest
from livekit.agents import APIConnectionError, APIError

from agent.config import ConfigError, load_settings
from agent.guard.hedge import Hedge, HedgeAllowance, HedgedStart
from agent.guard.settings import HedgeBudget, TurnBudget
from tests import virtual_time

BUDGET = TurnBudget(hedge_s=0.8, switch_s=2.0)


@dataclass
class Scripted:
    """A request whose first words come, or whose failure comes, after a time."""

    route: str
    after_s: float = 0.0
    error: APIError | None = None
    begun_at: float | None = None
    cancelled_at: float | None = None
    answered: bool = False
    gave_up: list[bool] = field(default_factory=list)
    """Each time, whether for being late."""

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun_at = loop.time()
        try:
            await (asyncio.Event().wait() if self.after_s == inf else asyncio.sleep(self.after_s))
        except asyncio.CancelledError:
            self.cancelled_at = loop.time()
            raise
        if self.error is not None:
            raise self.error
        self.answered = True

    async def give_up(self, *, late: bool = False) -> None:
        self.gave_up.append(late)


class Racing:
    """Starts requests and notes when they were decided."""

    def __init__(self, *, share: float = 0.2, floor: int = 3, budget: TurnBudget = BUDGET) -> None:
        self.hedges: list[Hedge] = []
        self.start = HedgedStart(budget=budget, hedging=HedgeBudget(share=share, floor=floor))
        self.start.subscribe(self.hedges.append)
        self.decided_s = 0.0

    async def run(self, *attempts: Scripted) -> str:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for attempt in attempts:
            attempt.begun_at = attempt.cancelled_at = None
        try:
            winner = await self.start(attempts)
        finally:
            self.decided_s = round(loop.time() - began, 3)
        assert isinstance(winner, Scripted)
        assert winner.answered
        assert not winner.gave_up
        return winner.route

    def __call__(self, *attempts: Scripted) -> str:
        return virtual_time.run(self.run(*attempts))


def asked(attempts: Sequence[Scripted]) -> list[str]:
    return [attempt.route for attempt in attempts if attempt.begun_at is not None]


def test_a_route_in_time_is_the_only_one_asked() -> None:
    a, b = Scripted("a", 0.79), Scripted("b")
    racing = Racing()
    assert racing(a, b) == "a"
    assert (racing.decided_s, asked([a, b]), racing.hedges) == (0.79, ["a"], [])


def test_a_slow_route_is_hedged_and_the_first_with_words_answers() -> None:
    a, b = Scripted("a", 1.5), Scripted("b", 0.3)
    racing = Racing()
    assert racing(a, b) == "b"
    assert racing.decided_s == pytest.approx(1.1)
    assert a.cancelled_at is not None, "the loser is cancelled"
    assert a.gave_up == [False], "a race that is lost says nothing about a route"
    assert racing.hedges == [Hedge(winner="b", losers=("a",))]


def test_the_primary_may_win_the_race_and_then_the_hedge_is_cancelled() -> None:
    a, b = Scripted("a", 1.0), Scripted("b", 0.3)
    racing = Racing()
    assert racing(a, b) == "a"
    assert b.gave_up == [False]
    assert racing.hedges == [Hedge(winner="a", losers=("b",))]


def test_both_at_the_same_tick_is_one_answer_and_the_chain_s_order_decides() -> None:
    # 0.75 and 0.25 are exact, so both timers are due at the same moment
    racing = Racing(budget=TurnBudget(hedge_s=0.5, switch_s=2.0))
    a, b = Scripted("a", 0.75), Scripted("b", 0.25)
    assert racing(a, b) == "a"
    assert a.answered
    assert b.answered, "the test is about both having answered"
    assert b.gave_up == [False]


def test_a_single_route_is_never_hedged_nor_switched() -> None:
    a = Scripted("a", 6.0)
    racing = Racing()
    assert racing(a) == "a"
    assert (racing.decided_s, racing.hedges) == (6.0, [])


def test_a_failure_goes_on_with_the_next_route_at_once() -> None:
    a, b = Scripted("a", 0.1, APIConnectionError()), Scripted("b", 0.3)
    racing = Racing()
    assert racing(a, b) == "b"
    assert racing.decided_s == pytest.approx(0.4)
    assert racing.hedges == [], "a fallback is no hedge"


def test_when_one_of_two_fails_the_other_goes_on() -> None:
    a, b = Scripted("a", 1.9), Scripted("b", 0.1, APIConnectionError())
    racing = Racing()
    assert racing(a, b) == "a"
    assert racing.decided_s == pytest.approx(1.9)


def test_what_keeps_the_caller_waiting_too_long_is_given_up_and_counts_as_failed() -> None:
    a, b = Scripted("a", inf), Scripted("b", 1.5)
    racing = Racing()
    assert racing(a, b) == "b"
    assert a.gave_up == [True]
    assert racing.hedges == [Hedge(winner="b", losers=("a",))]


def test_without_hedges_the_switch_asks_the_next_route() -> None:
    a, b = Scripted("a", inf), Scripted("b", 0.3)
    racing = Racing(share=0.0, floor=0)
    assert racing(a, b) == "b"
    assert racing.decided_s == pytest.approx(2.3)
    assert a.gave_up == [True]


def test_the_last_route_has_the_time_that_is_left() -> None:
    a, b, c = Scripted("a", inf), Scripted("b", inf), Scripted("c", 5.0)
    assert Racing()(a, b, c) == "c"
    assert (a.gave_up, b.gave_up) == ([True], [True])


def test_when_all_fail_the_last_reason_is_told() -> None:
    last = APIConnectionError("last")
    attempts = [Scripted("a", 0.1, APIConnectionError("first")), Scripted("b", 0.1, last)]
    with pytest.raises(APIConnectionError) as failure:
        Racing()(*attempts)
    assert failure.value is last


def test_an_interruption_cancels_both() -> None:
    a, b = Scripted("a", 3.0), Scripted("b", 3.0)
    racing = Racing()

    async def main() -> None:
        task = asyncio.create_task(racing.run(a, b))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual_time.run(main())
    assert None not in (a.cancelled_at, b.cancelled_at)
    assert (a.gave_up, b.gave_up) == ([False], [False])
    assert racing.hedges == [Hedge(winner="", losers=("b",))], "it was asked, so it is billed"


def test_no_more_than_a_share_of_the_requests_is_hedged() -> None:
    racing = Racing(share=0.2, floor=3)

    async def many() -> None:
        for _ in range(200):
            await racing.run(Scripted("a", 1.0), Scripted("b", 1.0))

    virtual_time.run(many())
    # three at once, and from then on a fifth of the fifty before
    assert 3 + 0.2 * 100 <= len(racing.hedges) <= 3 + 0.2 * 200


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_allowance(share: float) -> None:
    allowance = HedgeAllowance(HedgeBudget(share=share, floor=2, window=20))
    granted = []
    for _ in range(20):
        allowance.note_request()
        granted.append(allowance.take())
    assert granted[:2] == [True, True]
    assert sum(granted) == max(2, share * 20)


def test_a_thousand_races_by_chance_have_one_answer_each() -> None:
    rng = random.Random(9)
    racing = Racing(share=1.0)

    def attempt(route: str) -> Scripted:
        after_s = rng.choice([0.0, 0.25, 0.5, 0.75, 0.8, 1.0, 1.2, 1.9, 2.0, 2.1, 3.0])
        return Scripted(route, after_s, APIConnectionError() if rng.random() < 0.2 else None)

    async def race() -> None:
        attempts = [attempt(route) for route in "abc"[: rng.randint(1, 3)]]
        try:
            winner = await racing.run(*attempts)
        except APIConnectionError:
            return
        for other in attempts:
            if other.route != winner and other.begun_at is not None and other.error is None:
                assert len(other.gave_up) == 1
        assert len(asyncio.all_tasks()) == 1, "nothing is left behind"

    async def races(one: Coroutine[None, None, None]) -> None:
        await one
        for _ in range(999):
            await race()

    virtual_time.run(races(race()))


def test_the_page_has_the_times() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    budget = TurnBudget()
    times = [budget.filler_s, budget.hedge_s, budget.switch_s, budget.apologise_s]
    for number, seconds in enumerate(times, start=1):
        assert f"| T{number} | {seconds:g} (" in page


def test_the_times_must_be_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_GUARD_HEDGE_AFTER_S", "3")
    with pytest.raises(ConfigError, match="AGENT_GUARD_SWITCH_AFTER_S"):
        load_settings()
    monkeypatch.setenv("AGENT_GUARD_SWITCH_AFTER_S", "4")
    budget = load_settings().guard.budget
    assert (budget.hedge_s, budget.switch_s, budget.apologise_s) == (3.0, 4.0, 8.0)
