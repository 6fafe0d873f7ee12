"""Deadlines of a turn: when to say that it takes a moment, and when to give up and say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from typing import TypeVar

from livekit.agents import APIError, APITimeoutError

from .settings import TurnBudget

_T = TypeVar("_T")

_LOOK_AGAIN_S = 0.1
"""How late a deadline may be noticed that has moved closer."""


class LapseKind(Enum):
    """What is missing in a stream."""

    SLOW = auto()
    """Nothing yet, and the caller has waited long enough to wonder."""
    STILL_SLOW = auto()
    """Nothing yet, a while after that was said."""
    FAILED = auto()
    """Nothing came and nothing will: it failed, or the turn's time is over."""
    BROKE_OFF = auto()
    """It ended in the middle."""


@dataclass(frozen=True)
class Lapse:
    """Stands in a stream where something of it is missing.

    Attributes:
        kind: What is missing.
        error: Why, unless it is just late.
    """

    kind: LapseKind
    error: APIError | None = None


@dataclass
class TurnClock:
    """The time one turn has, shared by every request that serves it.

    A reply is begun ahead of the turn's end. Until the turn is committed nobody waits for it, so
    nothing is filled; from then on the caller does.

    Attributes:
        turn_id: The caller's message that is being answered.
        begun_at: Event loop time at which the answer was first worked on.
        budget: Its times.
        committed_at: Event loop time at which the turn was known to have ended; None before.
        filled_at: Event loop time of the last filler; None before the first.
        heard_at: Event loop time of the newest sound of the answer; None before the first.
        extra_s: Seconds that the turn has beyond its budget.
    """

    turn_id: str
    begun_at: float
    budget: TurnBudget
    committed_at: float | None = None
    filled_at: float | None = None
    heard_at: float | None = None
    extra_s: float = 0.0
    _sound_from: float = field(default=0.0, init=False)
    _sound_s: float = field(default=0.0, init=False)

    def fill(self, now: float) -> Lapse:
        """Silence is filled now: for the first time, or again."""
        again, self.filled_at = self.filled_at is not None, now
        return Lapse(LapseKind.STILL_SLOW if again else LapseKind.SLOW)

    def sounded(self, now: float, seconds: float) -> None:
        """So much more of the answer was given out, to be heard after what came before."""
        if self.heard_at is None or now > self.silent_at():
            self._sound_from, self._sound_s = now, 0.0
        self._sound_s += seconds
        self.heard_at = now

    def silent_at(self) -> float:
        """Loop time at which what was given out has been heard; never, before the commit."""
        if self.committed_at is None:
            return inf
        return max(self._sound_from, self.committed_at) + self._sound_s

    def gap_filler_at(self) -> float:
        """Loop time of the next filler in the middle of the answer."""
        due = self.silent_at() + self.budget.gap_s
        return due if self.filled_at is None else max(due, self.filled_at + self.budget.again_s)

    def gap_ends_at(self) -> float:
        """Loop time at which an answer that has fallen silent is given up."""
        return self.silent_at() + self.budget.apologise_s + self.extra_s

    def filler_at(self) -> float:
        """Loop time of the next filler; never, while the turn is not committed."""
        if self.committed_at is None:
            return inf
        due = max(self.silent_at(), self.heard_at or -inf) + self.budget.filler_s
        return due if self.filled_at is None else max(due, self.filled_at + self.budget.again_s)

    def give_up_at(self) -> float:
        """Loop time at which the turn is given up."""
        started = self.begun_at if self.committed_at is None else self.committed_at
        return started + self.budget.apologise_s + self.extra_s


async def guarded(
    source: AsyncIterator[_T], clock: TurnClock, *, seconds: Callable[[_T], float] | None = None
) -> AsyncIterator[_T | Lapse]:
    """Pass a stream on, with a `Lapse` where it is late, fails or breaks off.

    The source is closed whatever happens.

    Args:
        source: Text or audio.
        clock: Of the turn.
        seconds: How long an item is heard; then a silence between two items is a lapse too. Without
            it only the first item has a deadline: text that is late may not be missed yet.
    """
    begun = False
    loop = asyncio.get_running_loop()
    try:
        while not begun or seconds:
            filler_at = clock.gap_filler_at if begun else clock.filler_at
            ends_at = clock.gap_ends_at if begun else clock.give_up_at
            coming = asyncio.ensure_future(anext(source))
            try:
                while not await done_by(coming, filler_at, ends_at):
                    if loop.time() >= ends_at():
                        raise APITimeoutError()
                    yield clock.fill(loop.time())
                item = coming.result()
            finally:
                coming.cancel()
                await asyncio.wait([coming])
            begun = True
            if seconds:
                clock.sounded(loop.time(), seconds(item))
            yield item
        async for item in source:
            yield item
    except StopAsyncIteration:
        return
    except APIError as e:
        yield Lapse(LapseKind.BROKE_OFF if begun else LapseKind.FAILED, e)
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def done_by(future: asyncio.Future[_T], *times: Callable[[], float]) -> bool:
    """Whether a future is done by the earliest of some loop times, which may move meanwhile."""
    loop = asyncio.get_running_loop()
    while not future.done() and (remaining := min(at() for at in times) - loop.time()) > 0:
        await asyncio.wait([future], timeout=min(remaining, _LOOK_AGAIN_S))
    return future.done()
