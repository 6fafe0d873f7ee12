"""Where somebody seems to speak, told from loudness alone.

This is no voice activity detector. It only answers what the plugin must know without a model:
whether a server that says nothing owes an answer, where a pause lies that a reconnect can start
in, and where speech ended when the server gives no times. Noise costs precision there, never
words.
"""

from __future__ import annotations

import math

import numpy as np

_SILENCE_DBFS = -90.0
_FLOOR_MIN_DBFS = -70.0
_FLOOR_MAX_DBFS = -35.0
_FIRST_FLOOR_MAX_DBFS = -45.0
_FLOOR_RISE_DB_PER_S = 2.0
"""The noise floor follows a rise slowly, so that a long sentence does not become its own floor."""
_MARGIN_DB = 12.0
"""Speech stands this far above the floor. A telephone call has about 20 dB."""
_MIN_VOICE_DBFS = -50.0


def level_dbfs(pcm: bytes) -> float:
    """Root mean square of 16-bit samples, in decibels below full scale."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    if samples.size == 0:
        return _SILENCE_DBFS
    rms = math.sqrt(float(samples @ samples) / samples.size)
    return max(_SILENCE_DBFS, 20.0 * math.log10(max(rms, 1e-3) / 32768.0))


class VoicedRuns:
    """The stretches of a stream that are louder than its noise, in samples of its clock.

    Args:
        sample_rate: Samples a second.
        window: Samples that are remembered.
    """

    def __init__(self, *, sample_rate: int, window: int) -> None:
        self._rate = sample_rate
        self._window = window
        self._floor_dbfs: float | None = None
        self._runs: list[list[int]] = []  # [start, end), ascending, not touching
        self._end = 0

    @property
    def silent_ms(self) -> float:
        """Milliseconds since the last voiced sample; everything so far when there was none."""
        last = self._runs[-1][1] if self._runs else 0
        return (self._end - last) * 1000.0 / self._rate

    def push(self, pcm: bytes) -> bool:
        """Judge the next chunk (20 to 50 ms); return whether it is voiced."""
        count = len(pcm) // 2
        level = level_dbfs(pcm)
        voiced = level > max(self._follow_floor(level, count) + _MARGIN_DB, _MIN_VOICE_DBFS)
        start, self._end = self._end, self._end + count
        if voiced:
            if self._runs and self._runs[-1][1] == start:
                self._runs[-1][1] = self._end
            else:
                self._runs.append([start, self._end])
        while self._runs and self._runs[0][1] < self._end - self._window:
            del self._runs[0]
        return voiced

    def _follow_floor(self, level: float, count: int) -> float:
        """The noise floor after ``count`` samples of ``level``: down at once, up slowly."""
        if self._floor_dbfs is None:
            # the first sound may be speech already, so it is not trusted beyond this
            self._floor_dbfs = min(level, _FIRST_FLOOR_MAX_DBFS)
        risen = self._floor_dbfs + _FLOOR_RISE_DB_PER_S * count / self._rate
        self._floor_dbfs = min(max(level, _FLOOR_MIN_DBFS), risen, _FLOOR_MAX_DBFS)
        return self._floor_dbfs

    def voiced_between(self, start: int, end: int) -> int:
        """Voiced samples in ``[start, end)``."""
        voiced = 0
        for run_start, run_end in reversed(self._runs):  # it is the newest ones that are asked for
            if run_end <= start:
                break
            voiced += max(0, min(run_end, end) - max(run_start, start))
        return voiced

    def last_end_before(self, position: int) -> int | None:
        """Where the last voiced stretch that begins before ``position`` ends, at most there."""
        ends = [min(e, position) for s, e in self._runs if s < position]
        return ends[-1] if ends else None

    def burst_start(self, position: int, *, since: int, longest_pause: int) -> int | None:
        """Where the speech before ``position`` begins, across pauses up to ``longest_pause``.

        Speech that ended by ``since`` belongs to an earlier utterance.
        """
        start: int | None = None
        for run_start, run_end in reversed(self._runs):
            if run_start >= position or run_end <= since:
                continue
            if start is not None and start - run_end > longest_pause:
                break
            start = run_start
        return start

    def next_start(self, position: int) -> int | None:
        """Where the first voiced stretch begins that is not over by ``position``, if there is one.

        One that is under way there begins there.
        """
        return next((max(s, position) for s, e in self._runs if e > position), None)

    def pauses(self, start: int, end: int, *, minimum: int) -> list[tuple[int, int]]:
        """Gaps of at least ``minimum`` samples that follow voice, within ``[start, end)``."""
        found = []
        runs = [(s, e) for s, e in self._runs if s < end and e > start]
        for index, (_, run_end) in enumerate(runs):
            gap_end = runs[index + 1][0] if index + 1 < len(runs) else end
            if gap_end - run_end >= minimum:
                found.append((run_end, gap_end))
        return found


def covered_by_final(
    runs: VoicedRuns, *, since: int, heard: int, live: bool, sample_rate: int
) -> int:
    """Up to where a final without times covers the audio.

    The server ended the utterance because it heard a pause; a sample inside that pause is a safe
    place to start again, for no word is cut there and none is sent twice.

    Args:
        runs: Where the stream is voiced.
        since: Start of the audio that no final covers yet.
        heard: One past the newest sample that the final can be about.
        live: Whether sending keeps up with the caller. If so, the pause is the latest one. During
            a replay several utterances may be on their way, and it is the earliest long one.
        sample_rate: Samples a second.

    Returns:
        A position in ``[since, heard]``.
    """
    if live:
        pauses = runs.pauses(since, heard, minimum=sample_rate // 5)
        chosen = pauses[-1] if pauses else None
    else:
        pauses = runs.pauses(since, heard, minimum=sample_rate // 2)
        chosen = pauses[0] if pauses else None
    if chosen is None:
        shorter = runs.pauses(since, heard, minimum=sample_rate // 16)
        chosen = shorter[-1] if shorter else None
    if chosen is None:
        return heard
    pause_start, pause_end = chosen
    # weak consonants trail off below the threshold, and an onset begins below it too
    return min(pause_start + sample_rate // 5, (pause_start + pause_end) // 2, heard)
