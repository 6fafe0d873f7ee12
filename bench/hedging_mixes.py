"""The three fault mixes of `python -m bench hedging`: what goes wrong, how often, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Fault = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What goes wrong.

    Attributes:
        name: In the table.
        described: What it is, in a sentence.
        primary: Faults of the gateway that is asked first, and which speaks.
        other: Faults of the other one, which is not perfect either.
    """

    name: str
    described: str
    primary: Sequence[Fault]
    other: Sequence[Fault]


def _llm(do: str, probability: float, **parameters: Any) -> Fault:
    return {"stage": "llm", "do": do, "probability": probability} | parameters


_OTHER = (_llm("stall", 0.05, ms=1500),)

MIXES = (
    Mix(
        name="slow tail",
        described="The first words are 0.6 s late in 10 % of the requests, 1.5 s in 7 %, 4 s in "
        "3 %",
        primary=(
            _llm("stall", 0.10, ms=600),
            _llm("stall", 0.07, ms=1500),
            _llm("stall", 0.03, ms=4000),
        ),
        other=_OTHER,
    ),
    Mix(
        name="errors and limits",
        described="8 % of the requests are answered 503, 8 % 429 (try again in 1 s), 3 % not at "
        "all (the connection is half-open)",
        primary=(
            _llm("http_status", 0.08, status=503),
            _llm("http_status", 0.08, status=429, retry_after="1"),
            _llm("half_open", 0.03),
        ),
        other=_OTHER,
    ),
    Mix(
        name="stalls in mid-stream",
        described="5 % of the answers fall silent for 3 s at the fourth word, 3 % break off there, "
        "5 % of the first words are 1.5 s late, and 5 % of the sentences stall in the voice for "
        "1.5 s",
        primary=(
            _llm("stall", 0.05, ms=3000, at={"word": 4}),
            _llm("close", 0.03, at={"word": 4}),
            _llm("stall", 0.05, ms=1500),
            {"stage": "tts", "do": "stall", "ms": 1500, "at": {"message": 6}, "probability": 0.05},
        ),
        other=_OTHER,
    ),
)
