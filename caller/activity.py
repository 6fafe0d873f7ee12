"""Finds where sound begins and ends. No I/O, no clock: levels and times in, spans out."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
"""Mono PCM, one channel, signed 16 bit."""

FRAME_S = 0.01
"""Length of an analysis frame, and so the resolution of every onset and end."""
SILENT_DBFS = -100.0
"""Level given to digital silence, whose logarithm would be minus infinity."""
QUIETEST_SOUND_DBFS = -50.0
"""No frame below this opens a span: speech sits near -20 dBFS, codec comfort noise below -60."""
ABOVE_NOISE_DB = 10.0
"""A frame that opens a span is this far above the tracked noise."""
HYSTERESIS_DB = 6.0
"""A span, once open, is held (and its start carried back) by frames this much weaker."""
MASKED_DB = 35.0
"""A frame this far below the loudest of its span is the codec ringing: the ear, masked by what
went before, does not hear it, so it does not hold the span open."""
NOISE_RISE_DB_PER_S = 3.0
"""How fast the noise estimate follows a louder room; it follows a quieter one at once."""
LOUDEST_NOISE_DBFS = -45.0
"""Where the noise estimate stops, so that long unbroken speech is never taken for noise."""
ONSET_FRAMES = 3
"""Loud frames within `ONSET_WINDOW` that make an onset; fewer are a click."""
ONSET_WINDOW = 5
"""Frames over which `ONSET_FRAMES` are counted."""
SOFT_START_S = 0.1
"""How far before its first loud frame a span may begin: a breath, an "f" or an "s"."""
SPAN_GAP_S = 0.05
"""Silence that closes a span: longer than a stop consonant, shorter than a pause."""


@dataclass(frozen=True)
class Span:
    """One stretch of sound, in seconds: `[start, end)`."""

    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """Sound with the speaker's inner pauses in it.

    Attributes:
        start: First sound, seconds.
        end: Last sound so far, seconds.
        silence: Silence heard since `end`, seconds; 0 while it sounds.
        ended: Whether that silence reached what was asked for.
    """

    start: float
    end: float
    silence: float
    ended: bool


def level_dbfs(samples: Samples) -> float:
    """RMS level of `samples` in dB below full scale; `SILENT_DBFS` for silence or nothing."""
    if samples.size == 0:
        return SILENT_DBFS
    mean_square = float(np.mean(np.square(samples, dtype=np.float64)))
    if mean_square <= 0.0:
        return SILENT_DBFS
    return max(SILENT_DBFS, 10.0 * math.log10(mean_square / 32768.0**2))


class Activity:
    """Sorts frames into sound and silence, with a noise estimate and hysteresis, and keeps spans.

    Frames are `FRAME_S` long and come in order of time; a hole between them counts as silence.
    """

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._open: Span | None = None
        self._loudest = SILENT_DBFS  # of the open span
        self._noise = QUIETEST_SOUND_DBFS - ABOVE_NOISE_DB
        self._run_start: float | None = None  # where the sound that may become a span began
        self._quiet_frames = 0
        self._loud: deque[float] = deque(maxlen=ONSET_FRAMES)
        self._heard_until = -math.inf

    @property
    def heard_until(self) -> float:
        """End of the newest frame, seconds; minus infinity before the first."""
        return self._heard_until

    @property
    def spans(self) -> list[Span]:
        """All stretches of sound so far, the last one perhaps still open."""
        return self._from(-math.inf)

    def push(self, at: float, level: float) -> None:
        """Take in one frame.

        Args:
            at: Time of its first sample, seconds.
            level: Its level, dBFS.
        """
        opens = max(QUIETEST_SOUND_DBFS, self._noise + ABOVE_NOISE_DB)
        self._noise = min(level, self._noise + NOISE_RISE_DB_PER_S * FRAME_S, LOUDEST_NOISE_DBFS)
        self._heard_until = at + FRAME_S
        sounding = level >= opens - HYSTERESIS_DB
        if self._open is not None:
            self._loudest = max(self._loudest, level)
            if sounding and level > self._loudest - MASKED_DB:
                self._open = Span(self._open.start, at + FRAME_S)
            elif at + FRAME_S - self._open.end >= SPAN_GAP_S:
                self._spans.append(self._open)
                self._open = None
        else:
            self._seek_onset(at, sounding=sounding, loud=level >= opens)

    def _seek_onset(self, at: float, *, sounding: bool, loud: bool) -> None:
        if sounding:
            self._quiet_frames = 0
            if self._run_start is None:
                self._run_start = at
        else:
            self._quiet_frames += 1
            if self._quiet_frames > ONSET_WINDOW - ONSET_FRAMES:
                self._run_start = None
                self._loud.clear()
        if not loud or self._run_start is None:
            return
        self._loud.append(at)
        first_loud = self._loud[0]
        if len(self._loud) == ONSET_FRAMES and at - first_loud < (ONSET_WINDOW - 0.5) * FRAME_S:
            self._open = Span(max(self._run_start, first_loud - SOFT_START_S), at + FRAME_S)
            self._loudest = SILENT_DBFS
            self._run_start = None
            self._loud.clear()

    def last_sound_before(self, at: float) -> float:
        """Start of the last span that began before `at`; minus infinity if there is none."""
        if self._open and self._open.start < at:
            return self._open.start
        before = bisect_left(self._spans, at, key=_start)
        return self._spans[before - 1].start if before else -math.inf

    def utterance(
        self, after: float, *, silence_s: float, going_on: float = -math.inf
    ) -> Utterance | None:
        """The first utterance that starts at or after `after`, or None if there is none yet.

        Args:
            after: Seconds; spans that began earlier are passed over.
            silence_s: Silence that ends an utterance; shorter ones are inner pauses.
            going_on: Seconds; pauses that began up to then are inner ones too, however long.
        """
        return join(self._from(after), self._heard_until, silence_s, going_on=going_on)

    def _from(self, after: float) -> list[Span]:
        spans = self._spans[bisect_left(self._spans, after, key=_start) :]
        if self._open and self._open.start >= after:
            spans.append(self._open)
        return spans


def join(
    spans: Iterable[Span], heard_until: float, silence_s: float, *, going_on: float = -math.inf
) -> Utterance | None:
    """Join spans up to the first silence of `silence_s` seconds; None if there are no spans."""
    start = end = None
    for span in spans:
        if start is None or end is None:
            start = span.start
        elif span.start - end >= silence_s and end > going_on:
            return Utterance(start, end, span.start - end, ended=True)
        end = span.end
    if start is None or end is None:
        return None
    silence = max(0.0, heard_until - end)
    return Utterance(start, end, silence, ended=silence >= silence_s)


def _start(span: Span) -> float:
    return span.start


def speech_bounds(samples: Samples, *, rate: int) -> tuple[int, int] | None:
    """First and one-past-last sample of the sound in a recording; None if it is silent.

    It is the detector that listens in a call, so that a file and an ear agree on what sound is.
    """
    frame = round(rate * FRAME_S)
    activity = Activity()
    for i in range(0, len(samples), frame):
        activity.push(i / rate, level_dbfs(samples[i : i + frame]))
    spans = activity.spans
    if not spans:
        return None
    return round(spans[0].start * rate), min(len(samples), round(spans[-1].end * rate))
