"""A stereo recording of a call, caller left and agent right, that survives a crash."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Literal

import numpy as np

from caller.activity import Samples

RATE = 48_000
"""Samples a second: WebRTC's own rate, so nothing is resampled on its way to the file."""
ALIGN_S = 0.01
"""A block whose time is this close to where its side of the file stands is simply appended; beyond
it the side is moved. So the two sides are aligned at least this well."""
HOLD_S = 1.0
"""How long a side that has not come yet holds the other back from the disk, seconds."""

BLOCK_S = 0.1
"""Audio is written in blocks of at least this, so that the header is not rewritten every frame."""

Side = Literal["caller", "agent"]
SIDES: tuple[Side, Side] = ("caller", "agent")


class Recording:
    """Writes two mono streams with times into one stereo WAV (48 kHz, 16 bit).

    Every write leaves a whole, playable file: the header is brought up to date each time, so a
    crash of the process loses at most `HOLD_S` of the newest audio.

    Args:
        path: The file to write; its folder is made.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb")
        self._wav = wave.open(self._file, "wb")  # noqa: SIM115 -- lives as long as the call
        self._wav.setnchannels(len(SIDES))
        self._wav.setsampwidth(2)
        self._wav.setframerate(RATE)
        self._origin: float | None = None
        self._written = 0  # samples a side in the file
        self._held = np.zeros((0, len(SIDES)), dtype=np.int16)  # from `_written` on
        self._cursor = dict.fromkeys(SIDES, 0)

    @property
    def origin(self) -> float | None:
        """The time (seconds, monotonic) of the file's first sample; None before the first write."""
        return self._origin

    def write(self, side: Side, at: float, samples: Samples) -> None:
        """Place `samples` of one side at time `at` (seconds, monotonic)."""
        if self._origin is None:
            self._origin = at
        place = round((at - self._origin) * RATE)
        if abs(place - self._cursor[side]) <= ALIGN_S * RATE:
            place = self._cursor[side]
        # What would fall on audio that is already there (or before the file) is left out.
        skip = max(0, self._cursor[side] - place, self._written - place)
        samples, place = samples[skip:], place + skip
        if samples.size == 0:
            return
        start = place - self._written
        if start + len(samples) > len(self._held):
            more = start + len(samples) - len(self._held)
            self._held = np.vstack([self._held, np.zeros((more, len(SIDES)), dtype=np.int16)])
        self._held[start : start + len(samples), SIDES.index(side)] = samples
        self._cursor[side] = place + len(samples)
        cursors = self._cursor.values()
        ready = max(min(cursors), max(cursors) - round(HOLD_S * RATE))
        if ready - self._written >= BLOCK_S * RATE:
            self._flush(ready)

    def close(self) -> None:
        """Write what is held and close the file; a second call does nothing."""
        if self._file.closed:
            return
        self._flush(max(self._cursor.values()))
        self._wav.close()
        self._file.close()

    def _flush(self, until: int) -> None:
        count = until - self._written
        if count <= 0:
            return
        self._wav.writeframes(self._held[:count].astype("<i2").tobytes())  # patches the header too
        self._file.flush()
        self._held = self._held[count:]
        self._written = until
