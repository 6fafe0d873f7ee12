"""How the routes of a language model chain are started: one after the other, or against each other.

A chain makes one `Attempt` for each route that may be asked, in order, and leaves it to a `Starter`
which of them answers. What a starter may do is wait, begin further attempts while earlier ones are
silent, and give attempts up. What it cannot do is take two answers: only the attempt that it
returns is read any further, so nothing is said twice and no tool is called twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from livekit.agents import APIError


class Attempt(Protocol):
    """One request to one route, not yet made."""

    @property
    def route(self) -> str:
        """The route's name, as it stands in the settings."""

    async def begin(self) -> None:
        """Make the request, and return once the first of the answer is there.

        That is words or a whole tool call. Cancelling it gives the attempt up.

        Raises:
            APIError: There will be no answer; the route's breaker knows of it.
        """

    async def give_up(self, *, late: bool = False) -> None:
        """Close it, so that the provider stops; its answer is thrown away.

        Args:
            late: It was too slow: one failure of the route. Otherwise, as with a race that another
                route won, this says nothing about the route.
        """


Starter = Callable[[Sequence[Attempt]], Awaitable[Attempt]]
"""Begins attempts (at least one is given) and returns the one that answers, begun. All others that
it began it has given up, also when it is cancelled. It raises the `APIError` of the last one if
none answers."""


async def in_turn(attempts: Sequence[Attempt]) -> Attempt:
    """Begin the next attempt when the one before has failed; see `Starter`."""
    *others, last = attempts
    for attempt in others:
        try:
            await attempt.begin()
        except APIError:
            continue
        return attempt
    await last.begin()
    return last
