"""How much of a synthesised sound is voice: pauses between clauses take time, but no words."""

from __future__ import annotations

import numpy as np
from livekit import rtc

_BLOCK_S = 0.02
_QUIET = 32768 * 10.0 ** (-45 / 20)
"""Root mean square below which a voice from an engine pauses: -45 dB below full scale."""


class VoicedTime:
    """Counts the seconds of voice in a sound that comes piece by piece.

    Args:
        sample_rate: Samples a second, mono.
    """

    def __init__(self, *, sample_rate: int) -> None:
        self._block = round(sample_rate * _BLOCK_S)
        self._rest = np.empty(0, dtype=np.int16)
        self._blocks: list[int] = [0]
        """How many blocks up to each were voice."""

    @property
    def total_s(self) -> float:
        """Seconds of voice so far."""
        return self._blocks[-1] * _BLOCK_S

    def push(self, frame: rtc.AudioFrame) -> None:
        """More of the sound."""
        samples = np.concatenate([self._rest, np.frombuffer(frame.data, dtype=np.int16)])
        count = len(samples) // self._block
        self._rest = samples[count * self._block :]
        blocks = samples[: count * self._block].reshape(count, self._block).astype(np.float32)
        voiced = np.mean(np.square(blocks), axis=1) > _QUIET**2
        self._blocks += (self._blocks[-1] + np.cumsum(voiced)).tolist()

    def before(self, seconds: float) -> float:
        """Seconds of voice before a time in the sound."""
        index = min(max(0, round(seconds / _BLOCK_S)), len(self._blocks) - 1)
        return self._blocks[index] * _BLOCK_S
