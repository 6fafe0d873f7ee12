"""What hedged requests cost: the requests that lost a race are billed as well.

A request that was cancelled never tells its usage. What is known is that it carried the same prompt
as the one that won, so that many input tokens are counted for it, by the winner's count. What the
loser may have written before it was cancelled is not known, and is not counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from livekit.agents.metrics import LLMMetrics, LLMModelUsage

from ..guard.hedge import Hedge
from ..routes import parse_chain


@dataclass(frozen=True, kw_only=True)
class HedgedTurn:
    """What hedging cost in a turn.

    Attributes:
        requests: Requests made beside the ones that answered.
        tokens: Their input tokens, by the winners' counts.
    """

    requests: int = 0
    tokens: int = 0


class HedgeLedger:
    """Counts the hedges of a call, for each turn and in all."""

    def __init__(self) -> None:
        self._open: list[str] = []
        """Models that lost since the last usage was told."""
        self._turn_requests = 0
        self._turn_tokens = 0
        self._tokens = Counter[tuple[str, str]]()
        self.requests = 0
        """Requests made beside the ones that answered, in all."""

    @property
    def tokens(self) -> int:
        """Their input tokens, by the winners' counts."""
        return sum(self._tokens.values())

    def hedged(self, hedge: Hedge) -> None:
        """A request was made at more than one route."""
        self.requests += len(hedge.losers)
        self._turn_requests += len(hedge.losers)
        self._open += hedge.losers

    def used(self, metrics: object) -> None:
        """A request has told its usage: it is the one that won."""
        if not isinstance(metrics, LLMMetrics) or not metrics.prompt_tokens:
            return
        for route in self._open:
            [lost] = parse_chain(route)
            self._tokens[lost.provider, lost.slug] += metrics.prompt_tokens
            self._turn_tokens += metrics.prompt_tokens
        self._open.clear()

    def take_turn(self) -> HedgedTurn:
        """What was counted since the last turn ended."""
        turn = HedgedTurn(requests=self._turn_requests, tokens=self._turn_tokens)
        self._turn_requests = self._turn_tokens = 0
        return turn

    def usage(self) -> list[LLMModelUsage]:
        """The same as the session counts what answered: one entry for each model."""
        return [
            LLMModelUsage(provider=provider, model=model, input_tokens=tokens)
            for (provider, model), tokens in self._tokens.items()
        ]
