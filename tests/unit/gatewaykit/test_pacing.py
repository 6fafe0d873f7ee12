"""The pace of an account, with a clock that the test holds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from livekit.plugins.gatewaykit.errors import PacedOutError
from livekit.plugins.gatewaykit.pacing import FileSlots, LocalSlots, Pacer, Pacing, Slots


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def pacer(clock: Clock, *, rate: float = 10, burst: int = 5, slots: Slots | None = None) -> Pacer:
    pacing = Pacing(requests_per_s=rate, burst=burst)
    return Pacer(pacing, slots=slots, clock=clock, sleep=clock.sleep)


async def times(paced: Pacer, clock: Clock, count: int) -> list[float]:
    sent = []
    for _ in range(count):
        await paced.wait(within_s=60)
        sent.append(round(clock.now - 100, 3))
    return sent


def kept_by(slots: Slots) -> float:
    kept: list[float] = []

    def look(full_at: float) -> float:
        kept.append(full_at)
        return full_at

    slots.exchange(look)
    return kept[0]


async def test_a_burst_leaves_at_once_and_the_rest_at_the_pace() -> None:
    clock = Clock()
    assert await times(pacer(clock), clock, 8) == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3]


async def test_never_more_than_the_pace_however_they_come() -> None:
    clock = Clock()
    rng = random.Random(4)
    paced = pacer(clock, rate=20, burst=4)
    sent = []
    for _ in range(500):
        clock.now += rng.choice([0, 0, 0, 0.01, 0.3])
        await paced.wait(within_s=60)
        sent.append(clock.now)
    for start in sent:
        assert sum(start <= at < start + 1.0 for at in sent) <= 20 + 4


async def test_who_would_wait_too_long_is_told_so_and_takes_no_slot() -> None:
    clock = Clock()
    paced = pacer(clock, rate=1, burst=1)
    await paced.wait(within_s=5)
    for _ in range(3):
        with pytest.raises(PacedOutError, match=r"1 requests a second.*1\.0 s") as failure:
            await paced.wait(within_s=0.5)
        assert not failure.value.retryable
    clock.now += 1
    await paced.wait(within_s=0.0)
    assert paced.waited_s == 0


async def test_a_429_halves_the_pace_once_and_it_comes_back() -> None:
    clock = Clock()
    paced = pacer(clock, rate=10)
    for _ in range(8):  # requests that were under way together
        paced.limited()
    assert paced.requests_per_s == pytest.approx(5)
    clock.now += 2
    paced.limited()
    assert paced.requests_per_s == pytest.approx(3)
    clock.now += 60
    assert paced.requests_per_s == 10
    for _ in range(100):
        clock.now += 2
        paced.limited()
    assert paced.requests_per_s >= 0.5


async def test_processes_of_a_machine_share_a_pace(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "new" / "pace"
    here, there = (pacer(clock, slots=FileSlots(file)) for _ in range(2))
    sent = []
    for _ in range(4):
        sent += await times(here, clock, 1) + await times(there, clock, 1)
    assert sent == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3]


async def test_a_file_from_before_the_last_start_of_the_machine_says_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pace"
    FileSlots(file).exchange(lambda _: 1e12)
    assert kept_by(FileSlots(file)) == float("-inf")


async def test_a_file_that_cannot_be_had_leaves_each_process_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    clock = Clock()
    paced = pacer(clock, slots=FileSlots(tmp_path / "file" / "pace"))
    assert (await times(paced, clock, 6))[-1] == 0.1


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_a_pace_is_a_positive_number(wrong: float) -> None:
    with pytest.raises(ValueError, match="requests_per_s"):
        Pacing(requests_per_s=wrong)


def test_local_slots_keep_what_they_are_told() -> None:
    slots = LocalSlots()
    slots.exchange(lambda _: 7.0)
    slots.exchange(lambda full_at: full_at + 1)
    assert kept_by(slots) == 8.0
