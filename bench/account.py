"""The worker's own account of a call's turns, held against the caller's ear."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lines import Kind
from bench.results import Turn

_LINES: dict[Kind, int] = {"plain": 1, "noise": 1, "barge": 2, "pause": 1}
"""Lines of the caller in a turn of each kind; the first is the one whose reply is timed."""


def records_of(log: Path, room: str) -> list[dict[str, Any]]:
    """The turns of a call as the worker has logged them (`agent.observe.waterfall`)."""
    entries = (json.loads(line) for line in log.read_text().splitlines() if '"parts"' in line)
    return [entry for entry in entries if entry.get("room") == room]


def differences(records: Sequence[dict[str, Any]], turns: Sequence[Turn]) -> list[float]:
    """By how many ms the worker's totals are above what the ear measured, turn by turn.

    Empty when the two did not count the same turns: a line that was cut in two, say.
    """
    if len(records) != sum(_LINES[turn.kind] for turn in turns):
        return []
    found, at = [], 0
    for turn in turns:
        if turn.heard_ms is not None:
            found.append(round(records[at]["total_ms"] - turn.heard_ms, 1))
        at += _LINES[turn.kind]
    return found
