"""When the caller's voice fell silent, by its loudness: what the detector says in steps of 32 ms.

No voice activity detector: it only refines one, for the waterfall's record.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import takewhile

import numpy as np
from livekit import rtc

_BLOCK_S = 0.01
_KEPT_BLOCKS = 200
"""Two seconds: a detector says within 0.3 s that speech is over."""
_QUIETEST = 10.0 ** (-50 / 10)
"""Mean square of what is taken for sound at all: -50 dB below full scale."""
_MASKED = 10.0 ** (-35 / 10)
"""So much below the loudest is not heard after it."""
_MOST_LATE_S = 0.15
"""Silero takes weak sound after speech for speech for 46 to 91 ms."""


class LastSound:
    """Listens to what comes from the room.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._blocks: deque[tuple[float, float]] = deque(maxlen=_KEPT_BLOCKS)
        """The end of each block, and its mean square."""

    def push(self, frame: rtc.AudioFrame) -> None:
        """Hear some more, of one channel; its last sample is of now."""
        size = round(frame.sample_rate * _BLOCK_S)
        count = frame.samples_per_channel // size
        samples = np.frombuffer(frame.data, dtype=np.int16)[: count * size].astype(np.float32)
        squares = np.mean(np.square(samples.reshape(count, size) / 32768), axis=1)
        now = self._clock()
        for index, square in enumerate(squares, start=1):
            self._blocks.append((now - (count - index) * _BLOCK_S, float(square)))

    def before(self, end_s: float) -> float | None:
        """When the sound ended that a detector takes to have ended at `end_s`.

        Returns:
            None where loudness cannot tell: there is noise after the voice.
        """
        loudest = max((square for _, square in self._blocks), default=0.0)
        least = max(_QUIETEST, _MASKED * loudest)
        silent = sum(1 for _ in takewhile(lambda b: b[1] < least, reversed(self._blocks)))
        if silent in (0, len(self._blocks)):
            return None
        ended = self._blocks[-1 - silent][0]
        return ended if -_MOST_LATE_S <= ended - end_s <= 0 else None
