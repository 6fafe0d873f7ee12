"""Synthetic sound with known beginnings and ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from caller.activity import FRAME_S, Activity, Samples, level_dbfs

RATE = 48_000


def pcm(sound: npt.NDArray[np.generic]) -> Samples:
    samples: Samples = np.clip(sound, -32767, 32767).astype(np.int16)
    return samples


def tone(seconds: float, *, dbfs: float = -15.0, hz: float = 300.0) -> Samples:
    t = np.arange(round(seconds * RATE)) / RATE
    amplitude = 32768 * 10 ** (dbfs / 20) * np.sqrt(2)
    return pcm(amplitude * np.sin(2 * np.pi * hz * t))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.int16)


def noise(seconds: float, *, dbfs: float, seed: int = 1) -> Samples:
    random = np.random.default_rng(seed)
    sound = random.normal(0, 32768 * 10 ** (dbfs / 20), round(seconds * RATE))
    return pcm(sound)


def mixed(*parts: Samples) -> Samples:
    total = np.sum([part.astype(np.int32) for part in parts], axis=0)
    return pcm(total)


def joined(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def listen(samples: Samples, *, start: float = 0.0) -> Activity:
    activity = Activity()
    frame = round(RATE * FRAME_S)
    for i in range(0, len(samples) - frame + 1, frame):
        activity.push(start + i / RATE, level_dbfs(samples[i : i + frame]))
    return activity
