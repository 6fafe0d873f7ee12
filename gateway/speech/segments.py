"""Cuts a whole recording into stretches of speech that Whisper can hear at once."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config import STT_SAMPLE_RATE_HZ
from gateway.speech.endpointer import Boundary, Endpointer, EndpointerConfig
from gateway.speech.vad import FRAME_SAMPLES, Samples, VoiceActivity

_THRESHOLD = 0.5
_PAUSE_MS = 150
_END_MS = 600
"""Longer than in a live stream: nobody waits, and more context hears better."""
_CUT_FROM_S = 12.0
"""Length from which a stretch ends at its next short pause."""
_MAX_S = 25.0
_MARGIN_SAMPLES = STT_SAMPLE_RATE_HZ * 3 // 10
"""Audio kept around speech: what the detector needed to be sure, and the breath before words."""


def speech_segments(samples: Samples, vad: VoiceActivity) -> Iterator[tuple[int, int]]:
    """Yield the first and one past the last sample of each stretch of speech, in order.

    Args:
        samples: mono 16 kHz, any length.
        vad: a fresh detector.
    """
    frame_ms = 1000 * FRAME_SAMPLES / STT_SAMPLE_RATE_HZ
    endpointer = Endpointer(
        EndpointerConfig.from_ms(
            threshold=_THRESHOLD, pause_ms=_PAUSE_MS, end_ms=_END_MS, frame_ms=frame_ms
        )
    )
    cut = 0  # no audio is given out twice
    start: int | None = None
    position = 0
    voice_end = 0
    for position in range(FRAME_SAMPLES, len(samples) + 1, FRAME_SAMPLES):
        boundary = endpointer.push(vad.probability(samples[position - FRAME_SAMPLES : position]))
        if boundary is Boundary.ONSET:
            start = max(cut, position - 2 * FRAME_SAMPLES - _MARGIN_SAMPLES)
        if start is None:
            continue
        if endpointer.in_speech and not endpointer.silence_run:
            voice_end = position
        length_s = (position - start) / STT_SAMPLE_RATE_HZ
        if (
            boundary is Boundary.END
            or (boundary is Boundary.PAUSE and length_s >= _CUT_FROM_S)
            or length_s >= _MAX_S
        ):
            cut = min(position, voice_end + _MARGIN_SAMPLES)
            yield start, cut
            start = cut if endpointer.in_speech and boundary is None else None
            if boundary is Boundary.PAUSE:
                endpointer.reset()
    if start is not None:
        yield start, min(len(samples), voice_end + _MARGIN_SAMPLES)
