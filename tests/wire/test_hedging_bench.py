"""`python -m bench hedging` in small: every set-up really answers, and the hedge really hedges."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.hedging import measure
from bench.hedging_mixes import Mix

SLOW = Mix(
    name="slow",
    described="Every first word is late",
    primary=[{"stage": "llm", "do": "stall", "ms": 1500}],
    other=[],
)


async def test_a_hedge_is_heard_sooner_and_is_paid_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, hedged = await measure(calls=2, turns=1, mixes=[SLOW])
    for cell in (one, two, hedged):
        assert len(cell.turns) == 2
        assert cell.unanswered == 0
        assert all(turn.voice_s is not None for turn in cell.turns)
    assert (one.hedged_requests, two.hedged_requests, hedged.hedged_requests) == (0, 0, 2)
    assert (one.requests, two.requests, hedged.requests) == (2, 2, 4)
    assert hedged.hedged_tokens == hedged.tokens > 0
    assert max(hedged.times("words_s")) < min(one.times("words_s"))
