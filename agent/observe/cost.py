"""What a call has cost so far: its use of each model, by the prices in the settings.

Prices belong to an account and change, so none is built in; a model without one makes the sum
unknown (None), never a guess. Only the local gateway's own engines are known to cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from livekit.agents.metrics import LLMModelUsage, ModelUsage, STTModelUsage, TTSModelUsage

from ..config import Price
from .hedges import HedgeLedger

_LOCAL = "local/"
_MILLION = 1_000_000
_Priced = STTModelUsage | LLMModelUsage | TTSModelUsage


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Use and price of a call up to now.

    Attributes:
        usd: The sum; None when a model that was used has no price.
        stt_s: Seconds of audio that were transcribed.
        llm_in: Input tokens, cached ones included.
        llm_out: Output tokens.
        tts_chars: Characters that were synthesized.
        hedged_requests: Requests that lost a race against another route; `usd` has them.
        hedged_tokens: Their input tokens, which `llm_in` does not have.
    """

    usd: float | None
    stt_s: float
    llm_in: int
    llm_out: int
    tts_chars: int
    hedged_requests: int = 0
    hedged_tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The cost as a JSON object."""
        return asdict(self)


def cost_of(
    usage: Sequence[ModelUsage],
    prices: Mapping[str, Price],
    *,
    hedges: HedgeLedger | None = None,
) -> Cost:
    """Add up what was used.

    Args:
        usage: One entry for each model, as `AgentSession.usage` counts.
        prices: By the model's name as the provider knows it, such as deepgram/nova-3.
        hedges: What requests cost that lost a race.
    """
    heard = [u for u in usage if isinstance(u, STTModelUsage)]
    written = [u for u in usage if isinstance(u, LLMModelUsage)]
    spoken = [u for u in usage if isinstance(u, TTSModelUsage)]
    lost = hedges.usage() if hedges else []
    used: list[_Priced] = [*heard, *written, *spoken, *lost]
    sums = [_usd(u, prices) for u in used]
    known = [usd for usd in sums if usd is not None]
    return Cost(
        usd=round(sum(known), 6) if len(known) == len(sums) else None,
        stt_s=round(sum(u.audio_duration for u in heard), 1),
        llm_in=sum(u.input_tokens for u in written),
        llm_out=sum(u.output_tokens for u in written),
        tts_chars=sum(u.characters_count for u in spoken),
        hedged_requests=hedges.requests if hedges else 0,
        hedged_tokens=sum(u.input_tokens for u in lost),
    )


def _usd(used: _Priced, prices: Mapping[str, Price]) -> float | None:
    if used.model.startswith(_LOCAL):
        return 0.0
    price = prices.get(used.model)
    if price is None:
        return None
    if isinstance(used, STTModelUsage):
        return used.audio_duration / 60 * price.stt_minute
    if isinstance(used, TTSModelUsage):
        return used.characters_count / _MILLION * price.tts_million_chars
    cached = price.llm_in_million if price.llm_cached_million is None else price.llm_cached_million
    fresh = used.input_tokens - used.input_cached_tokens
    return (
        fresh * price.llm_in_million
        + used.input_cached_tokens * cached
        + used.output_tokens * price.llm_out_million
    ) / _MILLION
