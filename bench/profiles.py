"""How fast the simulated stages are."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import SimConfig

_LONGEST_GAP_S = 0.06
"""Silence between two words that nobody takes for a pause."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How fast the simulated stages are, ms.

    Attributes:
        name: What people call it.
        stt_final: From the end of speech to the final transcript.
        llm_first_token: From the request to the first token; then 60 tokens a second.
        tts_first_audio: From a text to its first audio; then five times real time.
    """

    name: str
    stt_final: int
    llm_first_token: int
    tts_first_audio: int

    @property
    def total(self) -> int:
        """What no serial chain of these stages can be faster than."""
        return self.stt_final + self.llm_first_token + self.tts_first_audio

    @property
    def least_answer(self) -> int:
        """What an answer takes at least beyond the floor, unless its audio was kept.

        The simulated recogniser shows a word some time after its end, or with the final if that is
        sooner; only then can a model be asked to answer all words, and its answer be spoken.
        """
        shown = min(SimConfig().stt_partial_lag_ms, self.stt_final)
        return shown + self.llm_first_token + self.tts_first_audio

    @property
    def longest_gap_s(self) -> float:
        """Inner silence that a line may have, s: half of what would end its utterance here."""
        return min(_LONGEST_GAP_S, self.stt_final / 2000)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="budget", stt_final=140, llm_first_token=320, tts_first_audio=180),
        Profile(name="telco", stt_final=60, llm_first_token=150, tts_first_audio=90),
    )
}
"""`budget` is the latency budget of AIgateway's own example; `telco` one for phone lines."""
