from __future__ import annotations

import pytest

from drills.soak import Tally


def tally(rss_kib: list[float]) -> Tally:
    return Tally(calls=len(rss_kib), rss_kib=dict(enumerate(rss_kib, start=1)))


def test_one_step_of_the_allocator_is_no_growth() -> None:
    assert tally([1000.0] * 60 + [9000.0] * 40).rss_growth_kib == 0.0


def test_a_burst_hides_no_leak() -> None:
    leak = [1000.0 + 30 * n + (200_000 if 50 <= n < 60 else 0) for n in range(200)]
    assert tally(leak).rss_growth_kib == pytest.approx(30, rel=0.15)


@pytest.mark.parametrize("every", [1, 5, 10])
def test_what_leaks_is_growth_however_it_comes(every: int) -> None:
    leak = [1000.0 + 30 * every * (n // every) for n in range(200)]
    assert tally(leak).rss_growth_kib == pytest.approx(30, rel=0.15)


def test_a_call_or_none_tells_nothing() -> None:
    assert tally([]).rss_growth_kib == tally([1000.0]).rss_growth_kib == 0.0
