"""When each policy takes the turn for over: seconds after the caller's true end of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from livekit.local_inference import EOT

from agent.commit import Evidence, commit_delay
from agent.config import TurnSettings
from agent.speech.acknowledge import acknowledgement
from agent.words import Outlook, outlook
from bench.cutoffs.hearing import Silence
from bench.profiles import PROFILES, Profile

LIKELY = 0.36
"""The turn model's own threshold for English: `livekit.agents.inference.eot.languages`."""
STOCK_VAD_S = 0.25
"""`livekit.agents.inference.VAD`'s `min_silence_duration`."""
STOCK_ASKED_S = 0.2
"""Silence after which the framework asks the turn model: `inference.eot.base`."""
STOCK_MIN_DELAY_S, STOCK_MAX_DELAY_S = 0.3, 2.5
"""The framework's endpointing with its turn detector: `livekit.agents.voice.turn`."""

FINAL_S = PROFILES["budget"].stt_final / 1000
"""No turn ends before its final transcript."""


class Policy(Protocol):
    """Decides how long to wait."""

    def wait_s(self, silence: Silence) -> float:
        """Seconds from the true end of the speech to the turn being taken for over."""


@dataclass(frozen=True)
class Timer:
    """Silero and a fixed delay: the framework with `turn_detection="vad"`.

    Attributes:
        delay_s: `min_delay`.
    """

    delay_s: float

    def wait_s(self, silence: Silence) -> float:
        """See `Policy`."""
        waited = silence.late_s + self.delay_s
        return max(silence.noticed_s(STOCK_VAD_S), waited, FINAL_S)


@dataclass(frozen=True)
class Framework:
    """livekit-agents with its local turn model.

    Attributes:
        model: The turn model.
        min_delay_s: Delay when it says that the turn is over.
        max_delay_s: Delay when it does not.
    """

    model: EOT
    min_delay_s: float = STOCK_MIN_DELAY_S
    max_delay_s: float = STOCK_MAX_DELAY_S

    def wait_s(self, silence: Silence) -> float:
        """See `Policy`."""
        asked_at = silence.noticed_s(STOCK_ASKED_S) - silence.late_s
        over = silence.end_of_turn(self.model, asked_at) >= LIKELY
        waited = silence.late_s + (self.min_delay_s if over else self.max_delay_s)
        return max(silence.noticed_s(STOCK_VAD_S), waited, FINAL_S)


@dataclass(frozen=True)
class Ours:
    """`agent.commit`, with a reply being written ahead as in a call.

    Attributes:
        model: The turn model.
        settings: Its delays.
        stages: How fast the recogniser and the model are.
        acknowledges: Whether the reply can begin without the model.
    """

    model: EOT
    settings: TurnSettings
    stages: Profile = PROFILES["budget"]
    acknowledges: bool = True

    def wait_s(self, silence: Silence) -> float:
        """See `Policy`."""
        noticed = silence.noticed_s(self.settings.vad_min_silence_s)
        final_s = self.stages.stt_final / 1000
        reply_s = final_s + self.stages.llm_first_token / 1000 - self.settings.head_start_s
        if self.acknowledges and acknowledgement(silence.case.said):
            reply_s = min(reply_s, silence.late_s + self.settings.acknowledge_after_s)
        probability = None
        if self.settings.turn_model and outlook(silence.case.said) is Outlook.OPEN:
            # It is asked when the pause is reported, or at the final if that comes later; before
            # that, where a reply to the final was begun some time ago.
            asked_at = max(noticed, final_s) - silence.late_s
            early_at = final_s + self.settings.judge_after_s - silence.late_s
            if 0 <= early_at < asked_at:
                probability = silence.end_of_turn(self.model, early_at)
            if probability is None or probability < LIKELY:
                probability = silence.end_of_turn(self.model, asked_at)
        evidence = Evidence(
            text=silence.case.said,
            end_of_turn=probability,
            likely=LIKELY,
            speculating=self.settings.speculations > 0,
            reply_after_s=max(0.0, reply_s - silence.late_s),
        )
        waited = silence.late_s + commit_delay(evidence, self.settings)
        return max(noticed, waited, final_s)


def scaled(settings: TurnSettings, factor: float) -> TurnSettings:
    """The same policy, more or less patient: every delay that evidence asks for, times `factor`."""
    delays = ("finished_s", "likely_s", "unsure_s", "dictation_s", "unfinished_s")
    return settings.model_copy(update={name: getattr(settings, name) * factor for name in delays})
