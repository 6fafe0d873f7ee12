"""A source that plays what it is given at the pace of the loop's time, as a room's does."""

from __future__ import annotations

import asyncio
import contextlib
import math

import numpy as np
from livekit import rtc

RATE = 8000
_BYTES_PER_S = RATE * 2


def voice(seconds: float) -> rtc.AudioFrame:
    """A sound that counts as voice, each sample another than the one before."""
    return frame(8000 + np.arange(round(seconds * RATE)) % 20_000)


def silence(seconds: float) -> rtc.AudioFrame:
    return frame(np.zeros(round(seconds * RATE)))


def frame(samples: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> rtc.AudioFrame:
    return rtc.AudioFrame(samples.astype(np.int16).tobytes(), RATE, 1, len(samples))


class Speaker:
    """Keeps what was heard in `played`. `fails`: it takes nothing.

    Args:
        queue_s: What it wants to hold.
    """

    def __init__(self, *, queue_s: float = 0.2) -> None:
        self.played = bytearray()
        self.fails = False
        self.busy = False
        self.closed = False
        self._queue_s = queue_s
        self._queue = bytearray()
        self._played_to = 0.0
        self._cleared = asyncio.Event()

    @property
    def queued_duration(self) -> float:
        now = asyncio.get_running_loop().time()
        count = min(len(self._queue), 2 * math.floor((now - self._played_to) * RATE + 1e-6))
        self.played += self._queue[:count]
        del self._queue[:count]
        self._played_to = self._played_to + count / _BYTES_PER_S if self._queue else now
        return len(self._queue) / _BYTES_PER_S

    def clear_queue(self) -> None:
        _ = self.queued_duration
        self._queue.clear()
        self._cleared.set()
        self._cleared.clear()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self.fails:
            raise RuntimeError("closed")
        assert not self.busy, "one frame at a time"
        self.busy = True
        try:
            _ = self.queued_duration
            self._queue += frame.data.cast("B")
            while (left_s := self.queued_duration - self._queue_s) > 0:
                await asyncio.sleep(left_s)  # a cleared queue is noticed late, as by a room's
        finally:
            self.busy = False

    async def wait_for_playout(self) -> None:
        while left_s := self.queued_duration:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._cleared.wait()
                    return

    async def aclose(self) -> None:
        self.closed = True
