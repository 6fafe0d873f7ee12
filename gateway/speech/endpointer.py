"""Endpointing: from probabilities of speech, frame by frame, to onsets, pauses and ends.

A pure state machine: no audio, no clock. Its time is the number of frames it has been given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

_ONSET_FRAMES = 2
"""Frames of speech in a row that make an onset (64 ms): one alone is a click more often than a
word."""

_RELEASE_MARGIN = 0.15
"""In speech, frames count as speech down to this much below the threshold (Silero's own
hysteresis)."""


class Boundary(Enum):
    """What a frame brought about."""

    ONSET = "onset"
    PAUSE = "pause"
    """Silence long enough that a final is worth preparing."""
    RESUME = "resume"
    """Speech again after a pause that was not long enough to end the utterance."""
    END = "end"


@dataclass(frozen=True, kw_only=True)
class EndpointerConfig:
    """Thresholds, in the frames of the detector."""

    threshold: float
    pause_frames: int
    end_frames: int | None
    """None: silence never ends an utterance."""

    @classmethod
    def from_ms(
        cls, *, threshold: float, pause_ms: float, end_ms: float | None, frame_ms: float
    ) -> EndpointerConfig:
        """Convert milliseconds to whole frames, so that no wait is shorter than asked."""
        return cls(
            threshold=threshold,
            pause_frames=max(1, math.ceil(pause_ms / frame_ms)),
            end_frames=None if end_ms is None else max(1, math.ceil(end_ms / frame_ms)),
        )


class Endpointer:
    """Finds onsets, pauses and ends of speech in one stream."""

    def __init__(self, config: EndpointerConfig) -> None:
        self._config = config
        self._onset_run = 0
        self._silence_run = 0
        self._in_speech = False
        self._paused = False

    @property
    def in_speech(self) -> bool:
        """Whether an utterance is open, pauses included."""
        return self._in_speech

    @property
    def silence_run(self) -> int:
        """Frames of silence since the last frame of speech of the open utterance."""
        return self._silence_run

    @property
    def onset_run(self) -> int:
        """Frames of speech seen so far that are not yet enough to be an onset."""
        return self._onset_run

    def reset(self) -> None:
        """Forget the open utterance; the next onset needs its full evidence again."""
        self._onset_run = 0
        self._silence_run = 0
        self._in_speech = False
        self._paused = False

    def push(self, probability: float) -> Boundary | None:
        """Take the next frame's probability of speech and return the boundary it makes, if any.

        An onset lies `_ONSET_FRAMES` back: read `onset_run` before it is cleared by the next frame.
        """
        if self._in_speech:
            return self._push_in_speech(probability)
        if probability < self._config.threshold:
            self._onset_run = 0
            return None
        self._onset_run += 1
        if self._onset_run < _ONSET_FRAMES:
            return None
        self._in_speech = True
        self._silence_run = 0
        return Boundary.ONSET

    def _push_in_speech(self, probability: float) -> Boundary | None:
        self._onset_run = 0
        release = 0.0 if self._paused else _RELEASE_MARGIN
        if probability >= self._config.threshold - release:
            self._silence_run = 0
            if self._paused:
                self._paused = False
                return Boundary.RESUME
            return None
        self._silence_run += 1
        if self._silence_run == self._config.end_frames:
            self.reset()
            return Boundary.END
        if not self._paused and self._silence_run >= self._config.pause_frames:
            self._paused = True
            return Boundary.PAUSE
        return None
