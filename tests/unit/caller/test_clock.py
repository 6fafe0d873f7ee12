from __future__ import annotations

import random

import pytest

from caller.clock import STEP_FRAMES, WINDOW_S, SampleClock

RATE = 48_000
FRAME = 480
FRAME_S = FRAME / RATE


def times(arrivals: list[float]) -> tuple[list[float], SampleClock]:
    clock = SampleClock(rate=RATE)
    return [clock.observe(arrival=at, samples=FRAME) for at in arrivals], clock


def test_late_frames_keep_their_place() -> None:
    chance = random.Random(7)
    true = [100 + i * FRAME_S for i in range(500)]
    seen, clock = times([t + chance.expovariate(1 / 0.002) for t in true])
    errors = [abs(a - b) for a, b in zip(seen[100:], true[100:], strict=True)]
    assert max(errors) < 0.001
    assert clock.health.holes == 0


def test_a_stall_and_its_clump_do_not_move_the_times() -> None:
    true = [100 + i * FRAME_S for i in range(400)]
    arrivals = list(true)
    for i in range(200, 230):  # the event loop stood still for 300 ms
        arrivals[i] = true[229] + (i - 200) * 0.0001
    seen, clock = times(arrivals)
    assert max(abs(a - b) for a, b in zip(seen, true, strict=True)) < 0.0005
    assert clock.health.holes == 0
    assert clock.health.late_ms == pytest.approx(290, abs=5)


def test_frames_that_begin_in_a_clump_settle_at_once() -> None:
    true = [100 + i * FRAME_S for i in range(50)]
    arrivals = [max(t, 100.08) for t in true]  # the first eight came with the ninth
    seen, _ = times(arrivals)
    assert seen[8:] == pytest.approx(true[8:], abs=0.0005)


def test_frames_that_are_equally_late_for_a_moment_are_not_a_hole() -> None:
    true = [100 + i * FRAME_S for i in range(400)]
    arrivals = [t + (0.045 if 200 <= i < 220 else 0.0) for i, t in enumerate(true)]
    seen, clock = times(arrivals)
    assert max(abs(a - b) for a, b in zip(seen, true, strict=True)) < 0.0005
    assert clock.health.holes == 0


def test_drift_is_followed_and_told() -> None:
    slow = 1 + 200e-6  # 200 ppm
    seen, clock = times([100 + i * FRAME_S * slow for i in range(2000)])
    # It lags by what drifts within the window that it looks back.
    assert seen[-1] == pytest.approx(100 + 1999 * FRAME_S * slow, abs=0.0007)
    # Drift is counted from the first full window (which saw the first frame) to the last.
    assert clock.health.drift_ms == pytest.approx(200e-6 * (20 - WINDOW_S) * 1000, rel=0.05)


def test_a_hole_moves_the_anchor() -> None:
    true = [100 + i * FRAME_S + (0.25 if i >= 400 else 0.0) for i in range(800)]
    seen, clock = times(true)
    after = 400 + STEP_FRAMES
    assert seen[after:] == pytest.approx(true[after:], abs=0.0005)
    assert clock.health.holes == 1
    assert clock.health.lost_ms == pytest.approx(250, abs=1)
    assert clock.health.drift_ms == pytest.approx(0, abs=0.1)
