"""When the caller's voice fell silent, by its loudness: what the detector says in steps of 32 ms.

No voice activity detector: it only refines one, for the waterfall's record.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import starmap
from typing import Any

import numpy as np
from livekit import rtc

_BLOCK_S = 0.01
_KEPT_S = 2.0
"""A detector says within 0.3 s that speech is over."""
_QUIETEST = 10.0 ** (-50 / 10)
"""Mean square of what is taken for sound at all: -50 dB below full scale."""
_MASKED = 10.0 ** (-35 / 10)
"""So much below the loudest is not heard after it."""
_MOST_LATE_S = 0.15
"""Silero takes weak sound after speech for speech for 46 to 91 ms."""

_Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class LastSound:
    """Listens to what comes from the room, and thinks about it once a turn.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._frames: deque[tuple[float, rtc.AudioFrame]] = deque()
        """With the time of the last sample of each."""

    def push(self, frame: rtc.AudioFrame) -> None:
        """Hear some more, of one channel; its last sample is of now."""
        now = self._clock()
        self._frames.append((now, frame))
        while self._frames[0][0] < now - _KEPT_S:
            self._frames.popleft()

    def before(self, end_s: float) -> float | None:
        """When the sound ended that a detector takes to have ended at `end_s`.

        Returns:
            None where loudness cannot tell: there is noise after the voice.
        """
        if not self._frames:
            return None
        ends, squares = map(np.concatenate, zip(*starmap(_blocks, self._frames), strict=True))
        sounding = np.flatnonzero(squares >= max(_QUIETEST, _MASKED * squares.max()))
        if not sounding.size or sounding[-1] == len(squares) - 1:
            return None
        ended = float(ends[sounding[-1]])
        return ended if -_MOST_LATE_S <= ended - end_s <= 0 else None


def _blocks(end_s: float, frame: rtc.AudioFrame) -> tuple[_Floats, _Floats]:
    """When each block of a frame ended, and its mean square."""
    size = round(frame.sample_rate * _BLOCK_S)
    count = frame.samples_per_channel // size
    samples = np.frombuffer(frame.data, dtype=np.int16)[: count * size] / 32768
    return (
        end_s - _BLOCK_S * np.arange(count - 1, -1, -1),
        np.mean(np.square(samples.reshape(count, size)), axis=1),
    )
