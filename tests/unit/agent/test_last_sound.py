"""When the voice fell silent, by loudness: to the block, and not at all in noise."""

from __future__ import annotations

import numpy as np
import pytest
from livekit import rtc

from agent.observe.last_sound import LastSound

RATE = 16_000
FRAME_S = 0.02


def heard(loudness: list[float]) -> LastSound:
    """A caller whose sound is so loud (RMS of full scale), 20 ms each."""
    now = 0.0
    sound = LastSound(clock=lambda: now)
    chance = np.random.default_rng(1)
    for rms in loudness:
        now += FRAME_S
        noise = chance.normal(0, 32768 * rms, round(RATE * FRAME_S))
        samples = np.clip(noise, -32768, 32767).astype(np.int16)
        sound.push(rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples)))
    return sound


def test_the_last_sound_is_found_before_the_detectors_end() -> None:
    sound = heard([0.1] * 20 + [0.05] + [0.0005] * 12)
    assert sound.before(21 * FRAME_S + 0.063) == pytest.approx(21 * FRAME_S)


@pytest.mark.parametrize(
    "loudness",
    [
        [],
        [0.0005] * 20,  # nobody spoke
        [0.1] * 20 + [0.02] * 12,  # noise goes on
        [0.1] * 20 + [0.0005] * 12 + [0.1],  # and another voice begins
        [0.1] * 10 + [0.0005] * 22,  # it ended long before the detector's end
    ],
)
def test_where_loudness_cannot_tell_it_does_not(loudness: list[float]) -> None:
    assert heard(loudness).before(20 * FRAME_S + 0.063) is None
