"""What the models hear of a case: Silero's and LiveKit's turn model, run directly on the audio."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from livekit.local_inference import EOT, EOT_MAX_SAMPLES, VAD, VAD_WINDOW_SAMPLES

from bench.cutoffs.corpus import Case
from caller.activity import Samples
from caller.audio import EAR_RATE

ACTIVATION, DEACTIVATION = 0.5, 0.35
"""Probabilities at which speech begins and ends: `livekit.agents.inference.VAD`'s defaults."""
WINDOW_S = VAD_WINDOW_SAMPLES / EAR_RATE


@dataclass(frozen=True, kw_only=True)
class Silence:
    """The caller's silence as the worker sees it.

    Attributes:
        late_s: How much later than the true end of the speech the last window with speech ended.
        case: What was said.
        seen_at: Audio time at which that window ended.
    """

    late_s: float
    case: Case
    seen_at: float
    _judged: dict[float, float] = field(default_factory=dict, repr=False)

    def noticed_s(self, min_silence_s: float) -> float:
        """When the detector reports it, after the true end of the speech: in whole windows."""
        windows = np.ceil(round(min_silence_s / WINDOW_S, 6))
        return self.late_s + float(windows) * WINDOW_S

    def end_of_turn(self, model: EOT, after_s: float) -> float:
        """The turn model's probability, `after_s` into the silence that the detector sees."""
        if after_s not in self._judged:
            until = round((self.seen_at + after_s) * EAR_RATE)
            heard: Samples = self.case.audio[max(0, until - EOT_MAX_SAMPLES) : until]
            self._judged[after_s] = float(model.predict(np.ascontiguousarray(heard)))
        return self._judged[after_s]


def listen(case: Case, vad: VAD) -> Silence | None:
    """Run the detector over a case; None if it hears no speech in it."""
    vad.reset()
    speaking, seen_at = False, None
    for first in range(0, len(case.audio) - VAD_WINDOW_SAMPLES + 1, VAD_WINDOW_SAMPLES):
        window = np.ascontiguousarray(case.audio[first : first + VAD_WINDOW_SAMPLES])
        probability = vad.predict(window)
        speaking = probability >= (DEACTIVATION if speaking else ACTIVATION)
        if speaking:
            seen_at = (first + VAD_WINDOW_SAMPLES) / EAR_RATE
    if seen_at is None:
        return None
    return Silence(late_s=seen_at - case.end_s, case=case, seen_at=seen_at)
