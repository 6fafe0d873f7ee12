"""Deadlines of a turn: when to say that it takes a moment, and when to give up and say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from livekit.agents import APIError, APITimeoutError

_T = TypeVar("_T")


class LapseKind(Enum):
    """What is missing in a stream."""

    SLOW = auto()
    """Nothing yet, and the caller has waited long enough to wonder."""
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

    Attributes:
        turn_id: The caller's message that is being answered.
        started_at: Event loop time at which the answer was first worked on.
        filler_due_s: Seconds after which silence is filled once.
        deadline_s: Seconds after which nothing more is awaited.
        filled: Whether the filler was said in this turn.
    """

    turn_id: str
    started_at: float
    filler_due_s: float
    deadline_s: float
    filled: bool = False

    @property
    def filler_at(self) -> float:
        """Loop time of the filler."""
        return self.started_at + self.filler_due_s

    @property
    def give_up_at(self) -> float:
        """Loop time at which the turn is given up."""
        return self.started_at + self.deadline_s


async def guarded(source: AsyncIterator[_T], clock: TurnClock) -> AsyncIterator[_T | Lapse]:
    """Pass a stream on, with a `Lapse` where it is late, fails or breaks off.

    Only the first item has a deadline here: what comes after it is watched by the plugin that makes
    it. The source is closed whatever happens.
    """
    begun = False
    try:
        first = asyncio.ensure_future(anext(source))
        try:
            if not clock.filled and not await _done_by(first, clock.filler_at):
                clock.filled = True
                yield Lapse(LapseKind.SLOW)
            if not await _done_by(first, clock.give_up_at):
                yield Lapse(LapseKind.FAILED, APITimeoutError())
                return
            yield first.result()
        finally:
            first.cancel()
            await asyncio.wait([first])
        begun = True
        async for item in source:
            yield item
    except StopAsyncIteration:
        return
    except APIError as e:
        yield Lapse(LapseKind.BROKE_OFF if begun else LapseKind.FAILED, e)
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _done_by(future: asyncio.Future[_T], at: float) -> bool:
    """Whether a future is done by a time of the event loop."""
    remaining = at - asyncio.get_running_loop().time()
    if remaining > 0 and not future.done():
        await asyncio.wait([future], timeout=remaining)
    return future.done()
