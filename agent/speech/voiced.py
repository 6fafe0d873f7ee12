"""How much of a synthesised sound is voice: pauses between clauses take time, but no words."""

from __future__ import annotations

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

BLOCK_S = 0.02
QUIET = 32768 * 10.0 ** (-45 / 20)
"""Root mean square below which a voice from an engine pauses: -45 dB below full scale."""


def levels(samples: NDArray[np.int16], *, block: int) -> NDArray[np.float32]:
    """Root mean square of each whole block of so many samples; what is left at the end is not."""
    count = len(samples) // block
    blocks = samples[: count * block].reshape(count, block).astype(np.float32)
    power: NDArray[np.float32] = np.mean(np.square(blocks), axis=1)
    return np.sqrt(power)


class VoicedTime:
    """Counts the seconds of voice in a sound that comes piece by piece.

    Args:
        sample_rate: Samples a second, mono.
    """

    def __init__(self, *, sample_rate: int) -> None:
        self._block = round(sample_rate * BLOCK_S)
        self._rest = np.empty(0, dtype=np.int16)
        self._blocks: list[int] = [0]
        """How many blocks up to each were voice."""

    @property
    def total_s(self) -> float:
        """Seconds of voice so far."""
        return self._blocks[-1] * BLOCK_S

    def push(self, frame: rtc.AudioFrame) -> None:
        """More of the sound."""
        samples = np.concatenate([self._rest, np.frombuffer(frame.data, dtype=np.int16)])
        voiced = levels(samples, block=self._block) > QUIET
        self._rest = samples[len(voiced) * self._block :]
        self._blocks += (self._blocks[-1] + np.cumsum(voiced)).tolist()

    def before(self, seconds: float) -> float:
        """Seconds of voice before a time in the sound."""
        index = min(max(0, round(seconds / BLOCK_S)), len(self._blocks) - 1)
        return self._blocks[index] * BLOCK_S
