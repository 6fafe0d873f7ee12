"""Sounds that are not speech: a cough, made from noise the way a throat makes it."""

from __future__ import annotations

import numpy as np

from caller.activity import Samples

COUGH_S = 0.35
"""Length of a single cough: 0.3 to 0.5 s."""
_FORMANTS = ((700.0, 130.0), (1220.0, 150.0), (2600.0, 250.0))
"""Resonances of an open throat, Hz, and their widths."""
_PEAK = 0.5
_ATTACK_S = 0.015
_DECAY_S = 0.11


def cough(*, rate: int, seed: int) -> Samples:
    """One cough: a burst of noise through an open throat, with a sharp attack.

    Args:
        rate: Samples a second.
        seed: Another one gives another cough; the same one the same, sample for sample.
    """
    length = round(COUGH_S * rate)
    noise = np.random.default_rng(seed).standard_normal(length)
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(length, 1 / rate)
    throat = np.zeros_like(hz)
    for at, width in _FORMANTS:
        throat += 1 / (1 + ((hz - at) / width) ** 2)
    sound = np.fft.irfft(spectrum * throat, n=length)
    t = np.arange(length) / rate
    sound *= np.minimum(1.0, t / _ATTACK_S) * np.exp(-np.maximum(0.0, t - _ATTACK_S) / _DECAY_S)
    made: Samples = (sound / np.abs(sound).max() * _PEAK * 32767).astype(np.int16)
    return made
