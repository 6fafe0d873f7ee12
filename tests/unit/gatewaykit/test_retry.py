"""Back-off with a clock and a die that the test holds."""

from __future__ import annotations

import random

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions
from livekit.plugins.gatewaykit.retry import Backoff, JitteredConnectOptions, retry_until, spread


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Attempts:
    def __init__(self, clock: Clock, *failures: Exception, takes_s: float = 0.0) -> None:
        self.clock = clock
        self.failures = list(failures)
        self.takes_s = takes_s
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        self.clock.now += self.takes_s
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def lost() -> APIConnectionError:
    return APIConnectionError("lost")


def test_delays_are_drawn_below_a_ceiling_that_doubles() -> None:
    backoff = Backoff(initial_s=0.1, maximum_s=2.0, rng=random.Random(1))
    for failures in range(40):
        ceiling = min(2.0, 0.1 * 2**failures)
        assert all(0 <= backoff.delay_s(failures) <= ceiling for _ in range(50))
    assert backoff.delay_s(10_000) <= 2.0
    assert len({backoff.delay_s(5) for _ in range(20)}) == 20


async def test_success_after_failures() -> None:
    clock = Clock()
    attempt = Attempts(clock, lost(), lost())
    result = await retry_until(
        attempt, deadline_s=5.0, backoff=Backoff(), clock=clock, sleep=clock.sleep
    )
    assert (result, attempt.count, len(clock.slept)) == ("done", 3, 2)


async def test_a_final_error_is_raised_at_once() -> None:
    clock = Clock()
    attempt = Attempts(clock, APIConnectionError("no", retryable=False))
    with pytest.raises(APIConnectionError, match="no"):
        await retry_until(
            attempt, deadline_s=5.0, backoff=Backoff(), clock=clock, sleep=clock.sleep
        )
    assert attempt.count == 1


async def test_nothing_is_tried_after_the_deadline() -> None:
    clock = Clock()
    attempt = Attempts(clock, *[lost() for _ in range(1000)], takes_s=0.3)
    with pytest.raises(APIConnectionError, match=r"gave up after 5 s") as failure:
        await retry_until(
            attempt, deadline_s=5.0, backoff=Backoff(), clock=clock, sleep=clock.sleep
        )
    assert not failure.value.retryable
    assert clock.now <= 105.3


def test_a_wait_that_was_asked_for_is_never_cut_short_and_never_too_long() -> None:
    for wait_s, most_s, latest_s in ((1.0, 9.0, 2.0), (5.0, 9.0, 7.0), (1.0, 1.3, 1.3)):
        waits = [spread(wait_s, most_s=most_s) for _ in range(200)]
        assert min(waits) >= wait_s
        assert max(waits) <= latest_s
        assert max(waits) - min(waits) > (latest_s - wait_s) / 2
    assert spread(3.0, most_s=1.0) == 3.0


def test_connect_options_keep_their_counts_and_lose_their_fixed_waits() -> None:
    plain = APIConnectOptions(max_retry=2, retry_interval=0.5, timeout=3.0)
    options = JitteredConnectOptions.of(plain)
    assert (options.max_retry, options.timeout) == (2, 3.0)
    waits = [options._interval_for_retry(n) for n in range(100)]
    assert max(waits) <= 0.5
    assert len(set(waits)) > 50
    none = JitteredConnectOptions.of(APIConnectOptions(retry_interval=0.0))
    assert none._interval_for_retry(0) == 0.0
