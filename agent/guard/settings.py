"""What is done about silence and failing providers, and when: the policy of a turn, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


@dataclass(frozen=True, kw_only=True)
class TurnBudget:
    """The times of a turn, in seconds.

    Those of the caller's wait are counted from the end of the turn: nobody waits before it. Those
    of a route are counted from the request, which may be made ahead of it.

    Attributes:
        filler_s: T1. Without a sound of the answer for so long, the filler is said.
        again_s: From a filler to the next one.
        gap_s: Silence in the middle of an answer after which the filler is said.
        hedge_s: T2. Without words from a route for so long, the next one is asked as well.
        switch_s: T3. Without words for so long, the route is given up and marked.
        apologise_s: T4. Nothing more is awaited, and the apology is said.
        voice_s: What a voice has for its first sound, however late the words came.
    """

    filler_s: float = 1.2
    again_s: float = 4.0
    gap_s: float = 2.5
    hedge_s: float = 0.6  # so that a hedge can be heard before the filler would be said
    switch_s: float = 2.0
    apologise_s: float = 8.0
    voice_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class HedgeBudget:
    """How many requests may be made twice, as Envoy bounds its retries.

    Attributes:
        share: Of the requests looked back on.
        floor: So many are allowed whatever the share is; 0 with a share of 0: none.
        window: Requests looked back on.
    """

    share: float = 0.2
    floor: int = 3
    window: int = 50


class GuardSettings(BaseSettings):
    """What is done about silence and failing providers. All times in seconds."""

    model_config = SettingsConfigDict(env_prefix="AGENT_GUARD_", env_file=".env", extra="ignore")

    filler_after_s: float = Field(TurnBudget.filler_s, ge=0.2, le=30)
    """Without a sound of the reply for so long, the filler is said."""
    filler_again_s: float = Field(TurnBudget.again_s, ge=0.5, le=30)
    """After a filler and so long without a sound of the reply, the second one is said."""
    filler_gap_s: float = Field(TurnBudget.gap_s, ge=0.5, le=30)
    """Silence in the middle of a reply after which the filler is said. A voice that stalls once is
    missed after 1.0 and heard again within 1.5."""
    hedge_after_s: float = Field(TurnBudget.hedge_s, ge=0.1, le=30)
    """Without words from the model for so long, the next route of the chain is asked as well."""
    hedge_share: float = Field(HedgeBudget.share, ge=0, le=1)
    """Share of the requests that may be made twice; 0: only as many as `hedge_floor`."""
    hedge_floor: int = Field(HedgeBudget.floor, ge=0, le=1000)
    """Requests of a call that may be made twice whatever their share; with both 0, none is."""
    switch_after_s: float = Field(TurnBudget.switch_s, ge=0.2, le=30)
    """Without words from the model for so long, its route is given up and counts as failed."""
    turn_deadline_s: float = Field(TurnBudget.apologise_s, ge=1, le=60)
    """Retries and fallbacks of a turn end here, and the apology is said."""
    breaker_failures: int = Field(5, ge=1, le=100)
    """Failures in a row after which a route is left alone."""
    breaker_cooldown_s: float = Field(5.0, ge=0.1, le=600)
    """Time after which one request may try it again."""
    no_words_s: float = Field(3.5, ge=0.5, le=30)
    """After the caller has spoken and so long without a transcript of it, the caller is asked to
    say it again."""
    max_failed_turns: int = Field(3, ge=1, le=100)
    """Turns in a row that ended in an apology before the agent hangs up."""
    filler: str = "One moment, please."
    filler_again: str = "I am still on it. One more moment, please."
    apology: str = "Sorry, something went wrong on my side. Could you say that again?"
    broke_off: str = "Sorry, I lost the thread there. Could you ask me again?"
    cannot_hear: str = "Sorry, I cannot hear you right now. Please say that again in a moment."
    give_up: str = "Sorry, I am having technical trouble. Please call again later. Goodbye."

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.hedge_after_s < self.switch_after_s < self.turn_deadline_s:
            raise ValueError(
                "AGENT_GUARD_HEDGE_AFTER_S must be less than AGENT_GUARD_SWITCH_AFTER_S, and that "
                "less than AGENT_GUARD_TURN_DEADLINE_S"
            )
        return self

    @property
    def budget(self) -> TurnBudget:
        """The times of a turn."""
        return TurnBudget(
            filler_s=self.filler_after_s,
            again_s=self.filler_again_s,
            gap_s=self.filler_gap_s,
            hedge_s=self.hedge_after_s,
            switch_s=self.switch_after_s,
            apologise_s=self.turn_deadline_s,
        )

    @property
    def hedging(self) -> HedgeBudget:
        """How many requests may be made twice."""
        return HedgeBudget(share=self.hedge_share, floor=self.hedge_floor)

    @property
    def phrases(self) -> list[str]:
        """Everything that must be sayable without a working voice."""
        return [
            self.filler,
            self.apology,
            self.filler_again,
            self.broke_off,
            self.cannot_hear,
            self.give_up,
        ]
