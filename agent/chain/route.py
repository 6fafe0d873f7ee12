"""One route of a chain: its plugin, its breaker, and what becomes known of its health."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, Literal, TypeVar

from livekit.agents import APIConnectionError, APIError, APIStatusError

from ..guard.breaker import BreakerState, CircuitBreaker
from ..observe.events import route_changed
from .health import HealthBoard

P = TypeVar("P")
_MAY_PASS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, 499)
"""Statuses below 500 that speak of the moment and not of the request; 499: client closed."""

Stage = Literal["stt", "llm", "tts"]


class NoRouteError(APIConnectionError):
    """Nobody is asked: each route of the chain has failed so often that it is left alone."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(f"no {stage} route is asked: all of them keep failing", retryable=False)


@dataclass(frozen=True, kw_only=True)
class BreakerLimits:
    """When a route is left alone.

    Attributes:
        failures: Failures in a row that open its breaker.
        cooldown_s: Seconds after which one request may try it again.
    """

    failures: int = 5
    cooldown_s: float = 5.0


@dataclass(kw_only=True)
class Hold:
    """How long a route that failed is not preferred, unless a probe says otherwise.

    Attributes:
        first_s: After the first failure.
        longest_s: It doubles with each further one up to this.
        failures: Since a request last went well. A probe that goes well is no request.
    """

    first_s: float
    longest_s: float
    failures: int = 0

    @property
    def seconds(self) -> float:
        """The time for the failures so far."""
        return min(self.longest_s, self.first_s * 2.0 ** min(max(0, self.failures - 1), 30))


@dataclass(kw_only=True)
class ChainRoute(Generic[P]):
    """A route and what is known of it. One request is `begin`, then one of the three outcomes.

    A route that failed is asked after the others until a probe or a request went well: that is
    `out_of_order`. One that fails again and again is not asked at all for a while: that is the
    breaker. The board tells other workers of the second, not of the first, which may be chance.

    Attributes:
        stage: What it is for.
        name: As it stands in the settings, `provider:model[:voice]`.
        plugin: What serves it.
        board: Where other workers are told.
        limits: When it is left alone.
        hold: How long it is not preferred after a failure.
        on_change: Told whether it is up, when that changes.
        clock: Monotonic seconds.
    """

    stage: Stage
    name: str
    plugin: P
    board: HealthBoard
    limits: BreakerLimits
    hold: Hold
    on_change: Callable[[bool], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    breaker: CircuitBreaker = field(init=False)
    out_of_order: bool = field(init=False, default=False)
    """Whether it failed last, and neither a request nor a probe has gone well since."""

    def __post_init__(self) -> None:
        self.breaker = CircuitBreaker(
            failures=self.limits.failures,
            cooldown_s=self.limits.cooldown_s,
            on_change=self._breaker_changed,
            clock=self.clock,
        )

    @property
    def key(self) -> str:
        """Its name on the board, where all stages meet."""
        return f"{self.stage} {self.name}"

    @property
    def available(self) -> bool:
        """Whether nothing speaks against asking it, here or elsewhere."""
        return (
            not self.out_of_order
            and self.breaker.state is BreakerState.CLOSED
            and not self.board.is_down(self.key)
        )

    def begin(self) -> bool:
        """Whether a request may be made now; if so, its outcome must be told."""
        return self.breaker.allow()

    def served(self) -> None:
        """A request went well."""
        self.hold.failures = 0
        self.recovered()

    def recovered(self) -> None:
        """A probe went well: the route is preferred again. It has not served anybody yet."""
        self.breaker.success()
        self._set_up(up=True)

    def heard_up(self) -> None:
        """Another worker has found it well, so it need not be probed here."""
        if self.breaker.state is BreakerState.CLOSED:
            self._set_up(up=True)

    def failed(self, error: APIError) -> None:
        """A request or a probe failed.

        What a route refuses (a wrong key) does not get better by waiting, so it opens no breaker;
        yet another route is asked first from then on.
        """
        self.hold.failures += 1
        self._set_up(up=False)
        if _is_refusal(error):
            self.breaker.abandoned()
        else:
            self.breaker.failure()

    def abandoned(self) -> None:
        """A request was cancelled, which says nothing about the route."""
        self.breaker.abandoned()

    def _set_up(self, *, up: bool) -> None:
        if up is self.out_of_order:
            self.out_of_order = not up
            route_changed("up" if up else "down", stage=self.stage, route=self.name)
            self.on_change(up)

    def _breaker_changed(self, state: BreakerState) -> None:
        route_changed(state.value, stage=self.stage, route=self.name)
        if state is BreakerState.OPEN:
            self.board.mark(self.key, down_s=self.limits.cooldown_s)
        elif state is BreakerState.CLOSED:
            self.board.mark(self.key, down_s=0)


def in_order(routes: Iterable[ChainRoute[P]]) -> list[ChainRoute[P]]:
    """The routes that may be asked: those without trouble first, each group as it is configured.

    Those whose breaker is open are left out.
    """
    asked = [r for r in routes if r.breaker.state is not BreakerState.OPEN]
    return sorted(asked, key=lambda route: not route.available)


def _is_refusal(error: APIError) -> bool:
    """Whether the request was at fault and not the route; LiveKit's rule of what is final."""
    return (
        isinstance(error, APIStatusError)
        and 400 <= error.status_code < 500
        and error.status_code not in _MAY_PASS
    )
