"""The estimate of the way to the caller."""

from __future__ import annotations

import pytest

from agent.observe.transport import Held, estimate


def test_each_way_is_a_packet_the_buffer_and_the_two_legs() -> None:
    way = estimate(10.0, 40.0)
    assert way.uplink_ms == way.downlink_ms == pytest.approx(20 + 40 + 10)


def test_the_buffer_counts_as_it_is_now_not_as_it_was_at_the_start() -> None:
    early = Held(sample_s=4800 * 0.12, samples=4800)
    now = Held(sample_s=early.sample_s + 9600 * 0.03, samples=4800 + 9600)
    assert now.since(early) == pytest.approx(30.0)
    assert now.since(Held()) == pytest.approx(60.0)
    assert now.since(now) == 0.0
