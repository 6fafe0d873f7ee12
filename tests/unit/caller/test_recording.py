from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from caller.activity import Samples
from caller.recording import HOLD_S, RATE, Recording
from tests.unit.caller.sounds import listen, silence, tone

FRAME = 480


def frames(samples: Samples) -> list[Samples]:
    return [samples[i : i + FRAME] for i in range(0, len(samples), FRAME)]


def sides(path: Path) -> tuple[Samples, Samples]:
    with wave.open(str(path), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (2, 2, RATE)
        both = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    return both[:, 0].astype(np.int16), both[:, 1].astype(np.int16)


def onset(samples: Samples) -> float:
    return listen(samples).spans[0].start


def test_both_sides_lie_on_one_timeline(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    caller = np.concatenate([silence(0.5), tone(0.5), silence(3.0)])
    agent = np.concatenate([silence(0.7), tone(0.5), silence(1.3)])
    for i, frame in enumerate(frames(caller)):
        recording.write("caller", 50.0 + i * 0.01, frame)
        if 50 <= i < 300:  # the agent's track comes half a second later
            recording.write("agent", 50.0 + i * 0.01 + 0.0037, agent[(i - 50) * FRAME :][:FRAME])
    recording.close()
    left, right = sides(tmp_path / "call.wav")
    assert len(left) == len(caller)
    assert onset(left) == pytest.approx(0.5, abs=0.0101)
    assert onset(right) == pytest.approx(1.2037, abs=0.0201)


def test_audio_whose_times_tremble_is_not_torn(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    sound = tone(1.0)
    for i, frame in enumerate(frames(sound)):
        recording.write("caller", 50.0 + i * 0.01 + 0.003 * (i % 3), frame)
    recording.close()
    left, _ = sides(tmp_path / "call.wav")
    assert np.array_equal(left, sound)


def test_a_hole_stays_a_hole_and_an_overlap_is_cut(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.wav")
    recording.write("caller", 50.0, tone(0.5))
    recording.write("caller", 51.0, tone(0.5))  # 0.5 s are missing before it
    recording.write("caller", 51.2, silence(0.5))  # 0.3 s of it were there already
    recording.close()
    left, _ = sides(tmp_path / "call.wav")
    assert len(left) == round(1.7 * RATE)
    assert not left[round(0.5 * RATE) : round(1.0 * RATE)].any()
    assert np.array_equal(left[round(1.0 * RATE) : round(1.5 * RATE)], tone(0.5))


def test_a_crash_leaves_a_playable_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "deep" / "call.wav")
    for i, frame in enumerate(frames(tone(5.0))):
        recording.write("caller", 50.0 + i * 0.01, frame)
    left, right = sides(tmp_path / "deep" / "call.wav")  # never closed
    assert len(left) / RATE >= 5.0 - HOLD_S - 0.11
    assert left.any()
    assert not right.any()
    recording.close()
    assert len(sides(tmp_path / "deep" / "call.wav")[0]) == 5 * RATE
    recording.close()
