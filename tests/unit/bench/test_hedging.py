"""What the hedging benchmark makes of what it measured, and that it can fail."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench import hedging_report
from bench.hedging import SET_UPS, Cell, Heard
from bench.hedging_mixes import MIXES
from gateway.faults.vocabulary import decode_fault
from gateway.wire.strict_json import dumps, loads_object


def cells(*words_s: float, hedged_requests: int = 2) -> list[Cell]:
    """One mix: for each set-up ten turns, of which one is so late and one without an answer."""
    made = []
    for set_up, longest_s in zip(SET_UPS, words_s, strict=True):
        turns = [Heard(words_s=0.4, voice_s=0.6, dead_s=0.6) for _ in range(8)]
        turns += [Heard(words_s=longest_s, dead_s=longest_s), Heard(dead_s=8.0)]
        cell = Cell(mix=MIXES[0], set_up=set_up, turns=turns)
        cell.requests, cell.tokens = 12, 1000
        if set_up.hedged:
            cell.hedged_requests, cell.hedged_tokens = hedged_requests, 125
        cell.said = Counter({"One moment, please.": 3, "Sorry, something went wrong.": 1})
        made.append(cell)
    return made


def test_a_line_has_the_spreads_and_what_it_cost() -> None:
    one, _, hedged = hedging_report.markdown(cells(8.0, 3.0, 1.0)).splitlines()[6:9]
    assert one.startswith("| one route | 400 / ")
    assert one.endswith("| 3 | 1 | 1.20 | – |")
    assert hedged.endswith("| 3 | 1 | 1.20 | +12.5% |")


def test_later_words_or_more_hedges_than_allowed_are_a_problem() -> None:
    assert hedging_report.problems(cells(8.0, 3.0, 1.0)) == []
    [worse] = hedging_report.problems(cells(1.0, 3.0, 8.0))
    assert "come later" in worse
    [dear] = hedging_report.problems(cells(8.0, 3.0, 1.0, hedged_requests=4))
    assert "4 hedges, " in dear


def test_the_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "hedging.md"
    hedging_report.write(cells(8.0, 3.0, 1.0), page)
    text = page.read_text()
    assert "## Slow tail" in text
    assert "livekit-agents" in text
    assert "{" not in text


def test_the_mixes_are_in_the_vocabulary() -> None:
    for mix in MIXES:
        for fault in (*mix.primary, *mix.other):
            line = loads_object(dumps(dict(fault)).encode(), max_bytes=1000, max_depth=4)
            assert decode_fault(line).probability < 0.2
