"""The replay ring, the maps between clocks, and where somebody seems to speak."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins.gatewaykit.replay import ArrivalLog, ReplayRing, SentMap
from livekit.plugins.gatewaykit.voicing import VoicedRuns, covered_by_final, level_dbfs

RATE = 16000


def ramp(start: int, count: int) -> bytes:
    return (np.arange(start, start + count) % 30000).astype("<i2").tobytes()


def test_what_is_not_covered_is_sent_again() -> None:
    ring = ReplayRing(capacity=1000)
    ring.append(ramp(0, 600))
    assert ring.read(400) == ramp(0, 400)
    ring.cover(250)
    assert ring.rewind() == (250, 250)
    assert ring.read(1000) == ramp(250, 350)
    assert ring.unsent == 0


def test_only_what_was_sent_can_be_covered() -> None:
    ring = ReplayRing(capacity=1000)
    ring.append(ramp(0, 600))
    ring.read(100)
    ring.cover(500)
    assert ring.covered == 100


def test_overflow_drops_the_oldest_and_says_which() -> None:
    ring = ReplayRing(capacity=1000)
    ring.append(ramp(0, 1000))
    ring.read(300)
    ring.append(ramp(1000, 500))
    assert (ring.start, ring.end, ring.cursor) == (500, 1500, 500)
    assert ring.rewind() == (0, 500)
    assert ring.read(2000) == ramp(500, 1000)


_MOVES = st.sampled_from(["append", "read", "cover", "rewind", "skip"])


@given(st.lists(st.tuples(_MOVES, st.integers(0, 300))))
def test_positions_never_go_back_but_for_a_rewind(steps: list[tuple[str, int]]) -> None:
    ring = ReplayRing(capacity=500)
    pushed = 0
    for what, amount in steps:
        start, cursor = ring.start, ring.cursor
        if what == "append":
            ring.append(ramp(pushed, amount))
            pushed += amount
        elif what == "read":
            at = ring.cursor
            assert ring.read(amount) == ramp(at, ring.cursor - at)
        elif what == "cover":
            ring.cover(start + amount)
        elif what == "skip":
            ring.skip_to(cursor + amount)
        else:
            lost_from, lost_to = ring.rewind()
            assert lost_from <= lost_to == ring.start == ring.cursor
        assert start <= ring.start <= ring.cursor <= ring.end == pushed
        assert ring.end - ring.start <= 500
        if what != "rewind":
            assert ring.cursor >= cursor


def test_a_servers_clock_is_mapped_through_gaps_replays_and_padding() -> None:
    sent = SentMap()
    sent.note(1000, 100)
    sent.note(1100, 100)
    sent.note(5000, 100)  # silence was left out
    assert [sent.to_stream(n) for n in (0, 150, 200, 250)] == [1000, 1150, 5000, 5050]
    sent.note_padding(5100, 400)
    sent.note(5100, 50)
    assert sent.to_stream(sent.sent - 50) == 5100
    assert sent.sent == 750


def test_ages_come_from_arrivals() -> None:
    log = ArrivalLog(window=RATE, sample_rate=RATE)
    log.note(8000, 10.0)
    log.note(16000, 20.0)
    assert log.age_s(16000, 21.0) == pytest.approx(1.0)
    assert log.age_s(8000, 21.0) == pytest.approx(11.0)
    assert log.age_s(12000, 21.0) == pytest.approx(1.25)
    log.note(64000, 30.0)
    assert log.age_s(0, 31.0) == pytest.approx(1.0 + 4.0)  # too old to know: at least so old


def tone(milliseconds: int, level: int = 5000) -> bytes:
    pcm = np.full(RATE * milliseconds // 1000, level, dtype="<i2")
    pcm[1::2] = -level
    return pcm.tobytes()


def noise(milliseconds: int, level: float = 20.0, seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    return rng.normal(0, level, RATE * milliseconds // 1000).astype("<i2").tobytes()


def push(runs: VoicedRuns, pcm: bytes) -> None:
    for i in range(0, len(pcm), RATE // 50 * 2):
        runs.push(pcm[i : i + RATE // 50 * 2])


def new_runs() -> VoicedRuns:
    return VoicedRuns(sample_rate=RATE, window=60 * RATE)


def test_levels() -> None:
    assert level_dbfs(b"") == level_dbfs(b"\0\0" * 100) == -90.0
    assert level_dbfs(tone(20, 32767)) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("floor", [0.0, 20.0, 200.0])
def test_speech_stands_out_of_its_noise(floor: float) -> None:
    runs = new_runs()
    push(runs, noise(3000, floor) + tone(500) + noise(700, floor))
    assert runs.voiced_between(0, 3 * RATE) < 0.2 * RATE
    assert runs.voiced_between(3 * RATE, 4 * RATE) == pytest.approx(0.5 * RATE, rel=0.1)
    assert runs.silent_ms == pytest.approx(700, abs=20)


def test_a_rising_noise_becomes_the_floor() -> None:
    runs = new_runs()
    push(runs, noise(500, 20.0) + noise(30_000, 400.0))
    assert runs.voiced_between(25 * RATE, 30 * RATE) == 0


def test_bursts_and_ends() -> None:
    runs = new_runs()
    push(runs, noise(1000) + tone(400) + noise(300) + tone(400) + noise(2000) + tone(200))
    at = int(4.2 * RATE)
    assert runs.last_end_before(3 * RATE) == pytest.approx(2.1 * RATE, abs=400)
    start = runs.burst_start(3 * RATE, since=0, longest_pause=RATE)
    assert start == pytest.approx(1.0 * RATE, abs=400)
    start = runs.burst_start(3 * RATE, since=int(1.5 * RATE), longest_pause=RATE)
    assert start == pytest.approx(1.7 * RATE, abs=400)
    assert runs.burst_start(at, since=0, longest_pause=RATE) == pytest.approx(4.1 * RATE, abs=400)
    assert runs.burst_start(500, since=0, longest_pause=RATE) is None


def covered(runs: VoicedRuns, heard_s: float, *, live: bool, since: int = 0) -> float:
    heard = int(heard_s * RATE)
    at = covered_by_final(runs, since=since, heard=heard, live=live, sample_rate=RATE)
    assert since <= at <= heard
    return at / RATE


def test_a_final_covers_up_to_the_pause_that_ended_its_utterance() -> None:
    runs = new_runs()
    push(runs, noise(500) + tone(1000) + noise(600) + tone(300))
    assert 1.5 < covered(runs, 2.0, live=True) < 2.0  # while the pause lasts
    assert 1.5 < covered(runs, 2.4, live=True) < 2.1  # when the next one has begun


def test_during_a_replay_a_final_covers_the_first_utterance_only() -> None:
    runs = new_runs()
    push(runs, noise(300) + tone(800) + noise(700) + tone(800) + noise(700))
    assert 1.1 < covered(runs, 3.3, live=False) < 1.8
    assert 2.6 < covered(runs, 3.3, live=True) < 3.3


def test_without_a_pause_everything_heard_is_covered() -> None:
    runs = new_runs()
    push(runs, noise(300) + tone(1000))
    assert covered(runs, 1.3, live=True) == pytest.approx(1.3)
