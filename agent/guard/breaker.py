"""Circuit breaker: a route that keeps failing is left alone instead of being awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing."""
    HALF_OPEN = "half_open"
    """One request, whose outcome decides."""


class CircuitBreaker:
    """Counts the failures of one route in a row.

    Args:
        failures: Failures in a row that open it.
        cooldown_s: Seconds after which an open breaker lets one request through.
        on_change: Told each state that is entered.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        failures: int,
        cooldown_s: float,
        on_change: Callable[[BreakerState], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._on_change = on_change
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state right now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        cooled = self._clock() - self._opened_at >= self._cooldown_s
        return BreakerState.HALF_OPEN if cooled else BreakerState.OPEN

    def allow(self) -> bool:
        """Whether a request may be made now; a half-open breaker allows exactly one."""
        state = self.state
        if state is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            self._on_change(state)
            return True
        return state is BreakerState.CLOSED

    def success(self) -> None:
        """The route served a request."""
        was_open, self._opened_at = self._opened_at is not None, None
        self._failures = 0
        self._probing = False
        if was_open:
            self._on_change(BreakerState.CLOSED)

    def failure(self) -> None:
        """The route failed a request."""
        let_through = self.state is not BreakerState.OPEN
        self._failures += 1
        self._probing = False
        if self._failures >= self._limit:
            self._opened_at = self._clock()
            if let_through:  # what began before it opened and fails after it is no news
                self._on_change(BreakerState.OPEN)

    def abandoned(self) -> None:
        """The request was cancelled (a barge-in): it says nothing about the route."""
        self._probing = False
