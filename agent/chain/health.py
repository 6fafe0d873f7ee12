"""What is known of routes beyond one request: which to leave alone, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

Listener = Callable[[str, bool], None]
"""Told a route's name and whether it is down now."""


class HealthBoard(Protocol):
    """Where workers tell each other that a route is down.

    Names are those of `agent.chain.route.ChainRoute.name`, with the stage in front, as in
    "llm aigateway:moonshot/kimi-k2.6". Nothing here waits and nothing raises: what cannot be told
    to others is known here all the same. A chain asks `is_down` before each request. A route that
    is down is asked after all others, never left out: the board is hearsay, the breaker is not.
    """

    def mark(self, route: str, *, down_s: float) -> None:
        """Say that a route is down.

        Args:
            route: Its name.
            down_s: For so many seconds from now unless it is marked again; 0: it is up again.
        """

    def is_down(self, route: str) -> bool:
        """Whether a route was marked as down, by whomever, and the time has not passed."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` when somebody marks a route as down or as up again, in the event loop.

        It is not called when the time of a mark passes. It must not raise.

        Returns:
            Ends the subscription.
        """


class LocalBoard:
    """The board of one process.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._down_until: dict[str, float] = {}
        self._listeners: list[Listener] = []

    def mark(self, route: str, *, down_s: float) -> None:
        """See `HealthBoard.mark`."""
        if down_s > 0:
            self._down_until[route] = self._clock() + down_s
        else:
            self._down_until.pop(route, None)
        for listener in list(self._listeners):
            listener(route, down_s > 0)

    def is_down(self, route: str) -> bool:
        """See `HealthBoard.is_down`."""
        return self._down_until.get(route, float("-inf")) > self._clock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `HealthBoard.subscribe`."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
