"""Several keys of one account: whose turn it is, who rests, what another worker knows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import pytest
from livekit.agents import APIConnectionError, APIError
from livekit.plugins.gatewaykit.errors import StatusError, from_status
from livekit.plugins.gatewaykit.keys import MAX_KEYS, Key, KeyRest, KeyRing

REST = KeyRest()
SECRETS = ["canary-key-a", "canary-key-b", "canary-key-c"]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class SharedMarks:
    """What Redis is in the end: names with an end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ends: dict[str, float] = {}

    def mark(self, name: str, *, down_s: float) -> None:
        self.ends[name] = self.clock() + down_s

    def remaining_s(self, name: str) -> float:
        return self.ends.get(name, 0.0) - self.clock()


def ring(count: int, clock: Clock, marks: SharedMarks | None = None) -> KeyRing:
    return KeyRing(
        SECRETS[:count], provider="Some gateway", marks=marks, clock=clock, sleep=clock.sleep
    )


def refused(status: int, retry_after: str = "") -> StatusError:
    return from_status(status, what="x", headers={"Retry-After": retry_after})


def order(keys: KeyRing, count: int) -> list[int]:
    return [keys.take().index for _ in range(count)]


def asking(
    answers: Mapping[int, Callable[[], APIError]], asked: list[int]
) -> Callable[[Key, float], Awaitable[str]]:
    async def ask(key: Key, left_s: float) -> str:
        assert left_s > 0
        asked.append(key.index)
        if key.index in answers:
            raise answers[key.index]()
        return f"by {key.index}"

    return ask


def test_keys_take_turns() -> None:
    assert order(ring(3, Clock()), 6) == [1, 2, 3, 1, 2, 3]


def test_a_limited_key_rests_as_long_as_the_gateway_says() -> None:
    clock = Clock()
    keys = ring(2, clock)
    assert keys.note(keys.take(), refused(429, "7"))
    assert order(keys, 3) == [2, 2, 2]
    clock.now += 6.9
    assert keys.take().index == 2
    clock.now += 0.2
    keys.take()
    # 2 was never limited; 1 is taken again only when 2 rests
    assert keys.take().index == 2
    keys.note(Key(2, SECRETS[1]), refused(429))
    assert keys.take().index == 1


@pytest.mark.parametrize(
    ("status", "seconds"),
    [(429, REST.limited_s), (402, REST.unpaid_s), (403, REST.forbidden_s)],
)
def test_what_the_gateway_does_not_say_has_a_default(status: int, seconds: float) -> None:
    clock = Clock()
    keys = ring(2, clock)
    keys.note(Key(1, SECRETS[0]), refused(status))
    clock.now += seconds - 0.1
    assert not keys.another(tried=(2,))
    clock.now += 0.2
    assert keys.another(tried=(2,))


def test_a_retry_after_of_years_is_an_hour() -> None:
    clock = Clock()
    keys = ring(2, clock)
    keys.note(Key(1, SECRETS[0]), refused(429, "9999999"))
    clock.now += REST.longest_s + 1
    assert keys.another(tried=(2,))


def test_the_one_limited_the_longest_ago_comes_first() -> None:
    clock = Clock()
    keys = ring(3, clock)
    for index in (2, 3, 1):
        keys.note(Key(index, SECRETS[index - 1]), refused(429, "1"))
        clock.now += 1
    clock.now += 5
    assert keys.take().index == 2


def test_the_last_one_left_is_used_anyway() -> None:
    clock = Clock()
    keys = ring(2, clock)
    keys.note(Key(1, SECRETS[0]), refused(401))
    keys.note(Key(2, SECRETS[1]), refused(429, "60"))
    assert keys.take().index == 2
    assert not keys.another(tried=())
    keys.note(Key(2, SECRETS[1]), refused(401))
    assert keys.take().index in (1, 2)


def test_a_key_that_is_refused_is_named_once_and_never_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = ring(2, Clock())
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            keys.note(Key(1, SECRETS[0]), refused(401))
            keys.note(Key(2, SECRETS[1]), refused(429, "3"))
    messages = [(r.message, r.__dict__["key"], r.__dict__["status"]) for r in caplog.records]
    assert messages == [("key refused", 1, 401), ("key rests", 2, 429)]
    shown = f"{keys!r} {Key(1, SECRETS[0])!r} {caplog.text} {[r.__dict__ for r in caplog.records]}"
    assert not [secret for secret in SECRETS if secret in shown]


def test_other_failures_say_nothing_about_a_key() -> None:
    keys = ring(2, Clock())
    for error in (refused(500), refused(404), APIConnectionError()):
        assert not keys.note(Key(1, SECRETS[0]), error)
    assert order(keys, 2) == [1, 2]


def test_another_worker_knows_what_rests_and_not_the_key() -> None:
    clock = Clock()
    marks = SharedMarks(clock)
    here, there = ring(2, clock, marks), ring(2, clock, marks)
    here.note(Key(1, SECRETS[0]), refused(429, "9"))
    assert order(there, 2) == [2, 2]
    assert "canary" not in str(marks.ends)
    clock.now += 10
    assert there.take().index == 1


def test_how_many_keys_there_may_be() -> None:
    for keys in ([], ["", " "], [str(n) for n in range(MAX_KEYS + 1)]):
        with pytest.raises(ValueError, match="keys are needed"):
            KeyRing(keys, provider="Some gateway")


# -- one request -----------------------------------------------------------------------------------


async def test_a_single_key_is_asked_once() -> None:
    for status in (401, 402, 403, 429):
        asked: list[int] = []
        keys = ring(1, Clock())
        with pytest.raises(StatusError) as failure:
            await keys.use(asking({1: lambda s=status: refused(s)}, asked), within_s=5)  # type: ignore[misc]
        assert (failure.value.status_code, failure.value.retryable) == (status, status == 429)
        assert asked == [1]


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_with_another_key_one_more_try_is_made(status: int) -> None:
    asked: list[int] = []
    switched: list[APIError] = []
    keys = ring(2, Clock())
    ask = asking({1: lambda: refused(status)}, asked)
    assert await keys.use(ask, within_s=5, on_switch=switched.append) == "by 2"
    assert asked == [1, 2]
    assert [error.status_code for error in switched if isinstance(error, StatusError)] == [status]
    assert await keys.use(ask, within_s=5) == "by 2"
    assert asked == [1, 2, 2], "a key that rests is not asked"


async def test_each_key_is_asked_once_and_what_may_heal_is_raised() -> None:
    asked: list[int] = []
    answers = {1: lambda: refused(401), 2: lambda: refused(429, "2"), 3: lambda: refused(401)}
    with pytest.raises(StatusError) as failure:
        await ring(3, Clock()).use(asking(answers, asked), within_s=5)
    assert asked == [1, 2, 3]
    assert failure.value.retryable
    assert failure.value.retry_after_s == 2


async def test_what_is_not_about_the_key_is_asked_once() -> None:
    asked: list[int] = []
    with pytest.raises(StatusError):
        await ring(3, Clock()).use(asking({1: lambda: refused(500)}, asked), within_s=5)
    assert asked == [1]


@pytest.mark.parametrize(("after", "waits"), [("2", True), ("60", False), ("soon", False)])
async def test_the_only_key_waits_as_told_if_there_is_time(after: str, waits: bool) -> None:
    clock = Clock()
    keys = ring(1, clock)
    keys.note(Key(1, SECRETS[0]), refused(429, after))
    assert await keys.use(asking({}, []), within_s=5) == "by 1"
    assert (2 <= clock.now - 100 <= 4) if waits else (clock.now == 100)


def test_a_refusal_on_an_open_connection_is_retryable_while_another_key_is_left() -> None:
    keys = ring(2, Clock())
    assert keys.judge(Key(1, SECRETS[0]), refused(401)).retryable
    assert not keys.judge(Key(2, SECRETS[1]), refused(401)).retryable
    assert not ring(1, Clock()).judge(Key(1, SECRETS[0]), refused(401)).retryable
