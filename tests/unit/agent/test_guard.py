from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf

from livekit.agents import APIConnectionError

from agent.guard.breaker import BreakerState, CircuitBreaker
from agent.guard.deadline import Lapse, LapseKind, TurnClock, guarded
from agent.guard.settings import TurnBudget
from tests import virtual_time

BUDGET = TurnBudget(filler_s=1.2, again_s=4.0, gap_s=2.5, apologise_s=8.0)


def clock_of(loop: asyncio.AbstractEventLoop, **fields: float) -> TurnClock:
    return TurnClock("turn", loop.time(), BUDGET, **fields)


def run(
    *steps: float | str | Exception, filled_s: float | None = None, item_s: float = 0.0
) -> list[tuple[float, object]]:
    """Guard a source that waits (numbers), yields (texts) or fails; what came out, and when."""
    seconds = (lambda _: item_s) if item_s else None

    async def source() -> AsyncIterator[str]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, str):
                yield step
            else:
                await asyncio.sleep(step)

    async def main() -> list[tuple[float, object]]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        clock = clock_of(loop, committed_at=started)
        if filled_s is not None:
            clock.filled_at = started + filled_s
        return [
            (round(loop.time() - started, 3), item.kind if isinstance(item, Lapse) else item)
            async for item in guarded(source(), clock, seconds=seconds)
        ]

    return virtual_time.run(main())


def test_a_stream_in_time_passes_unchanged() -> None:
    assert run(0.5, "a", 0.1, "b") == [(0.5, "a"), (0.6, "b")]


def test_an_empty_stream_ends() -> None:
    assert run() == []
    assert run(0.2) == []


def test_silence_is_filled_and_the_answer_follows() -> None:
    assert run(3.0, "a") == [(1.2, LapseKind.SLOW), (3.0, "a")]


def test_a_turn_that_was_filled_is_filled_again_after_a_while_only() -> None:
    assert run(3.0, "a", filled_s=0.0) == [(3.0, "a")]
    assert run(5.0, "a", filled_s=0.5) == [(4.5, LapseKind.STILL_SLOW), (5.0, "a")]


def test_a_black_hole_is_filled_twice_and_given_up_at_the_deadline() -> None:
    assert run(60.0, "too late") == [
        (1.2, LapseKind.SLOW),
        (5.2, LapseKind.STILL_SLOW),
        (8.0, LapseKind.FAILED),
    ]


def test_what_was_heard_of_the_answer_puts_the_filler_off() -> None:
    clock = TurnClock("turn", 9.0, BUDGET, committed_at=10.0)
    assert clock.filler_at() == 11.2
    clock.heard_at = 12.0
    assert clock.filler_at() == 13.2


def test_a_failure_is_told_at_once() -> None:
    assert run(0.3, APIConnectionError()) == [(0.3, LapseKind.FAILED)]
    assert run(2.0, APIConnectionError()) == [(1.2, LapseKind.SLOW), (2.0, LapseKind.FAILED)]


def test_breaking_off_is_not_failing() -> None:
    assert run(0.1, "a", 0.1, APIConnectionError()) == [(0.1, "a"), (0.2, LapseKind.BROKE_OFF)]


def test_a_slow_stream_is_left_alone_once_it_has_begun() -> None:
    assert run(0.1, "a", 30.0, "b") == [(0.1, "a"), (30.1, "b")]


def test_a_silence_in_the_middle_of_audio_is_filled_and_in_the_end_given_up() -> None:
    assert run(0.5, "a", "b", 4.0, "c", item_s=1.0) == [
        *[(0.5, "a"), (0.5, "b")],  # heard until 2.5
        *[(4.5, "c")],
    ]
    assert run(0.5, "a", 60.0, "too late", item_s=1.0) == [
        (0.5, "a"),
        (4.0, LapseKind.SLOW),
        (8.0, LapseKind.STILL_SLOW),
        (9.5, LapseKind.BROKE_OFF),
    ]


def test_what_is_ready_before_the_turn_has_ended_is_heard_from_its_end_on() -> None:
    clock = TurnClock("turn", 0.0, BUDGET)
    clock.sounded(1.0, 0.5)
    clock.sounded(3.0, 0.5)
    assert clock.gap_filler_at() == inf
    clock.committed_at = 4.0
    assert clock.silent_at() == 5.0
    clock.sounded(8.0, 0.5)
    assert clock.silent_at() == 8.5


def test_a_turn_that_has_not_ended_is_not_filled() -> None:
    async def source(clock: TurnClock) -> AsyncIterator[str]:
        await asyncio.sleep(2.0)
        clock.committed_at = asyncio.get_running_loop().time()
        await asyncio.sleep(2.0)
        yield "a"

    async def main() -> list[tuple[float, object]]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        clock = clock_of(loop)
        return [
            (round(loop.time() - started, 1), item.kind if isinstance(item, Lapse) else item)
            async for item in guarded(source(clock), clock)
        ]

    assert virtual_time.run(main()) == [(3.2, LapseKind.SLOW), (4.0, "a")]


def test_a_turn_that_never_ends_is_given_up_all_the_same() -> None:
    async def source() -> AsyncIterator[str]:
        await asyncio.sleep(60)
        yield "too late"

    async def main() -> list[object]:
        clock = clock_of(asyncio.get_running_loop())
        return [item.kind async for item in guarded(source(), clock) if isinstance(item, Lapse)]

    assert virtual_time.run(main())[-1] is LapseKind.FAILED


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(failures=3, cooldown_s=5, clock=Clock())
    for _ in range(2):
        breaker.failure()
    breaker.success()
    for _ in range(2):
        breaker.failure()
    assert breaker.allow()
    breaker.failure()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allow()


def test_a_half_open_breaker_lets_one_request_decide() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown_s=5, clock=clock)
    breaker.failure()
    clock.now = 5.0
    assert breaker.allow()
    assert not breaker.allow()
    breaker.failure()
    assert not breaker.allow()
    clock.now = 10.0
    assert breaker.allow()
    breaker.success()
    assert breaker.state is BreakerState.CLOSED


def test_a_cancelled_probe_lets_the_next_one_through() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown_s=5, clock=clock)
    breaker.failure()
    clock.now = 5.0
    assert breaker.allow()
    breaker.abandoned()
    assert breaker.allow()
