"""When a silence is the end of a turn: every witness in, seconds out.

The reply is written and synthesised while this wait goes on, so a wait that ends before the reply's
first words cost nothing: certainty up to there is free and is always taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import TurnSettings
from .words import Outlook, outlook


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about a pause in the caller's speech.

    Attributes:
        text: The words of the turn so far, with the recogniser's punctuation.
        end_of_turn: The turn model's probability that the turn is over; None while unknown.
        likely: The probability from which on the model means yes (0.36 for English in v1-mini).
        speculating: Whether a reply to exactly these words is being written.
        reply_after_s: When its first words came or are expected, in seconds after the end of
            speech; None while nobody knows.
    """

    text: str
    end_of_turn: float | None = None
    likely: float = 0.36
    speculating: bool = False
    reply_after_s: float | None = None


def commit_delay(evidence: Evidence, settings: TurnSettings) -> float:
    """How long the caller must have been silent for the turn to be over, in seconds.

    It is asked again whenever there is new evidence; the answer for what is known now counts.
    """
    needed = _needed(evidence, settings)
    if not evidence.speculating:
        return needed
    reply = settings.free_wait_s if evidence.reply_after_s is None else evidence.reply_after_s
    return max(needed, min(reply, settings.free_wait_s))


def _needed(evidence: Evidence, settings: TurnSettings) -> float:
    """The wait that the evidence asks for, whatever it costs."""
    model_agrees = evidence.end_of_turn is not None and evidence.end_of_turn >= evidence.likely
    match outlook(evidence.text):
        case Outlook.UNFINISHED:
            return settings.unfinished_s
        case Outlook.DICTATING:
            return settings.dictation_s
        case Outlook.FINISHED:
            return settings.finished_s
        case Outlook.OPEN:
            return settings.likely_s if model_agrees else settings.unsure_s
