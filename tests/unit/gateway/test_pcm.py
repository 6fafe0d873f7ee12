from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.speech.pcm import Resampler, SampleAligner, slices, to_pcm, to_samples


@given(st.lists(st.binary(max_size=9), max_size=20))
def test_aligner_loses_nothing(frames: list[bytes]) -> None:
    aligner = SampleAligner()
    passed = [aligner.push(frame) for frame in frames]
    assert all(len(part) % 2 == 0 for part in passed)
    whole = b"".join(frames)
    assert b"".join(passed) == whole[: len(whole) - len(whole) % 2]


def test_conversion_is_exact_to_one_step_and_clips() -> None:
    pcm = np.array([0, 1, -1, 32767, -32768], "<i2").tobytes()
    back = np.frombuffer(to_pcm(to_samples(pcm)), "<i2")
    assert np.abs(back.astype(int) - np.frombuffer(pcm, "<i2")).max() <= 1
    assert to_pcm(np.array([2.0, -2.0])) == np.array([32767, -32767], "<i2").tobytes()


def _tone(hz: float, rate: int, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 137, 4_410, 100_000])
def test_resampling_in_chunks_is_seamless(chunk: int) -> None:
    tone = _tone(440, 22_050, 0.5)
    resampler = Resampler(from_hz=22_050, to_hz=24_000)
    parts = [resampler.push(tone[i : i + chunk]) for i in range(0, len(tone), chunk)]
    out = np.concatenate([*parts, resampler.flush()])
    assert abs(len(out) - 12_000) <= 32
    inner = out[1_000:-1_000]
    expected = _tone(440, 24_000, 0.5)[1_000 : 1_000 + len(inner)]
    assert np.abs(inner - expected).max() < 0.01


def test_equal_rates_pass_through() -> None:
    resampler = Resampler(from_hz=16_000, to_hz=16_000)
    tone = _tone(440, 16_000, 0.1)
    assert np.array_equal(resampler.push(tone), tone)
    assert not len(resampler.flush())


def test_slices() -> None:
    assert list(slices(b"abcde", size=2)) == [b"ab", b"cd", b"e"]
    assert list(slices(b"", size=2)) == []
