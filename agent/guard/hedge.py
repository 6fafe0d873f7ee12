"""Starts a chain's requests: the next route is asked as well when one keeps the caller waiting.

The first route with words (or a whole tool call) answers the turn; every other request is cancelled
before a word of it is read. So nothing can be said twice, and no tool can run twice.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from livekit.agents import APIError, APITimeoutError

from ..chain.race import Attempt
from ..observe.events import GuardAction, guard_acted
from .settings import HedgeBudget, TurnBudget


@dataclass(frozen=True, kw_only=True)
class Hedge:
    """A request that was made at more than one route.

    Attributes:
        winner: The route that answered; empty when none did.
        losers: Those whose requests were cancelled, and are billed all the same.
    """

    winner: str
    losers: tuple[str, ...]


class HedgeAllowance:
    """Counts requests and hedges, and says whether another hedge fits the budget."""

    def __init__(self, budget: HedgeBudget) -> None:
        self._budget = budget
        self._hedged: deque[bool] = deque(maxlen=budget.window)

    def note_request(self) -> None:
        """A request was made."""
        self._hedged.append(False)

    def take(self) -> bool:
        """Whether the newest request may be made twice; if so, it counts as a hedge."""
        most = max(self._budget.floor, math.floor(self._budget.share * len(self._hedged)))
        if sum(self._hedged) >= most:
            return False
        self._hedged[-1] = True
        return True


class HedgedStart:
    """A `Starter` that hedges. One serves all requests of a call.

    Args:
        budget: T2 and T3.
        hedging: How many requests may be made twice.
    """

    def __init__(
        self,
        *,
        budget: TurnBudget,
        hedging: HedgeBudget,
    ) -> None:
        self._budget = budget
        self._allowance = HedgeAllowance(hedging)
        self._listeners: list[Callable[[Hedge], None]] = []

    def subscribe(self, listener: Callable[[Hedge], None]) -> None:
        """Call `listener` with each hedge from now on, once it is decided; it must not raise."""
        self._listeners.append(listener)

    async def __call__(self, attempts: Sequence[Attempt]) -> Attempt:
        """See `Starter`."""
        self._allowance.note_request()
        race = _Race(list(attempts), budget=self._budget, allowance=self._allowance)
        winner = ""
        try:
            attempt = await race.run()
            winner = attempt.route
            return attempt
        finally:
            await race.aclose()
            if losers := race.losers(winner):
                for listener in self._listeners:
                    listener(Hedge(winner=winner, losers=losers))


@dataclass
class _Race:
    """One request, at one route or several."""

    waiting: list[Attempt]
    budget: TurnBudget
    allowance: HedgeAllowance
    asked: list[str] = field(default_factory=list)
    """Routes that were asked and have not failed by themselves: those that are billed."""
    _running: dict[asyncio.Task[None], Attempt] = field(default_factory=dict)
    _begun_at: dict[asyncio.Task[None], float] = field(default_factory=dict)

    async def run(self) -> Attempt:
        """The attempt that answers, begun.

        Raises:
            APIError: None does; the reason of the last one.
        """
        error: APIError = APITimeoutError()
        self._begin()
        hedge_at = asyncio.get_running_loop().time() + self.budget.hedge_s
        while True:
            await self._some_change(hedge_at)
            for task in [task for task in self._running if task.done()]:
                # two that are done at the same moment are looked at in the chain's order
                attempt = self._running.pop(task)
                failure = task.exception()
                if failure is None:
                    return attempt
                if not isinstance(failure, APIError):
                    raise failure
                error = failure
                self.asked.remove(attempt.route)
            await self._give_up_late()
            now = asyncio.get_running_loop().time()
            if not self._running:
                if not self.waiting:
                    raise error
                self._begin()
            elif now >= hedge_at and self.waiting:
                self._hedge()
                hedge_at = math.inf

    async def aclose(self) -> None:
        """Cancel every request but the winner's."""
        for task in self._running:
            task.cancel()
        losers = [*self._running.values()]
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        await asyncio.gather(*(attempt.give_up() for attempt in losers))

    def losers(self, winner: str) -> tuple[str, ...]:
        """The routes that were asked beside the one that answers; without one, beside the first."""
        kept = winner or next(iter(self.asked), "")
        return tuple(route for route in self.asked if route != kept)

    def _begin(self) -> None:
        attempt = self.waiting.pop(0)
        self.asked.append(attempt.route)
        task = asyncio.create_task(attempt.begin(), name=f"attempt {attempt.route}")
        self._running[task] = attempt
        self._begun_at[task] = asyncio.get_running_loop().time()

    def _hedge(self) -> None:
        if self.allowance.take():
            guard_acted(GuardAction.HEDGE, stage="llm")
            self._begin()

    async def _some_change(self, hedge_at: float) -> None:
        """Wait until a request is done or a deadline is reached."""
        due = [self._late_at(task) for task in self._running] if self._has_other() else []
        if self.waiting:
            due.append(hedge_at)
        wait_s = min(due, default=math.inf) - asyncio.get_running_loop().time()
        await asyncio.wait(
            self._running,
            timeout=None if math.isinf(wait_s) else max(0.0, wait_s),
            return_when=asyncio.FIRST_COMPLETED,
        )

    async def _give_up_late(self) -> None:
        """Let go of requests that have had their time, while there is another route to hope for."""
        now = asyncio.get_running_loop().time()
        for task in list(self._running):
            if not self._has_other() or now < self._late_at(task) or task.done():
                continue
            attempt = self._running.pop(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await attempt.give_up(late=True)
            guard_acted(GuardAction.SWITCH, stage="llm")

    def _late_at(self, task: asyncio.Task[None]) -> float:
        return self._begun_at[task] + self.budget.switch_s

    def _has_other(self) -> bool:
        return len(self._running) > 1 or bool(self.waiting)
