"""The ratio to the best peer that a run is held against: `bench/baseline.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("baseline.json")
WORSE_BY = 0.15
"""A ratio that has risen by more than this share is a regression."""


def load(path: Path = FILE) -> dict[str, float]:
    """The committed ratios by "profile/contestant"; empty if there are none yet."""
    if not path.exists():
        return {}
    return {name: float(value) for name, value in json.loads(path.read_text()).items()}


def save(ratios: Mapping[str, float], path: Path = FILE) -> None:
    """Write ratios beside those of other profiles."""
    merged = load(path) | {name: round(value, 3) for name, value in ratios.items()}
    path.write_text(json.dumps(dict(sorted(merged.items())), indent=2) + "\n")


def regressions(ratios: Mapping[str, float], committed: Mapping[str, float]) -> list[str]:
    """A sentence for each ratio that is worse than the committed one by more than `WORSE_BY`."""
    return [
        f"{name}: {now:.2f} of the best peer's median, {committed[name]:.2f} is committed "
        f"(more than {WORSE_BY:.0%} worse)"
        for name, now in ratios.items()
        if name in committed and now > committed[name] * (1 + WORSE_BY)
    ]
