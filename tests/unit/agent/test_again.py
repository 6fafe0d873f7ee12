"""A voice that was silenced goes on from between two words, and not from long before."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.speech.again import COVERED_S, begin_again

RATE = 8000


def sound(*parts: tuple[float, float]) -> NDArray[np.int16]:
    """Noise in parts: seconds, and the share of full scale."""
    noise = np.random.default_rng(7)
    pieces = [noise.uniform(-1, 1, round(s * RATE)) * 32767 * level for s, level in parts]
    return np.concatenate(pieces).astype(np.int16)


def back_s(*parts: tuple[float, float]) -> float:
    return begin_again(sound(*parts), sample_rate=RATE) / RATE


VOICE, DIP = 0.5, 0.02


def test_the_word_that_was_cut_is_said_again() -> None:
    assert back_s((1.0, VOICE), (0.04, DIP), (0.3, VOICE)) == pytest.approx(0.34, abs=0.021)


def test_what_the_noise_covered_is_said_again_whatever_gaps_it_has() -> None:
    covered = (0.08, VOICE), (0.04, DIP), (0.06, VOICE)
    assert back_s((1.0, VOICE), (0.04, DIP), (0.2, VOICE), *covered) == pytest.approx(
        0.42, abs=0.021
    )


@pytest.mark.parametrize(
    "parts",
    [
        [(1.0, VOICE)],
        [(1.0, VOICE), (0.3, 0.25), (0.3, VOICE)],
        [(1.0, VOICE), (0.04, DIP), (COVERED_S + 0.1, VOICE)],
        [(1.0, VOICE), (0.04, DIP), (0.3, VOICE), (0.25, 0.0)],
        [(0.02, DIP), (0.15, VOICE)],
        [],
    ],
    ids=["no dip", "hardly a dip", "too long ago", "silent when silenced", "too short", "nothing"],
)
def test_a_voice_goes_on_where_it_stopped(parts: list[tuple[float, float]]) -> None:
    assert back_s(*parts or [(0.0, 0.0)]) == 0
