"""Keeps what was measured, as nothing in it depends on the machine's mood.

A change of the settings, or of any code that the figures come from, makes it stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from agent.config import TurnSettings
from bench.cutoffs.measure import Point
from demo.binaries import ROOT

SOURCES = (
    "bench/cutoffs/*.py", "bench/profiles.py", "agent/commit.py", "agent/words.py",
    "agent/speech/acknowledge.py",
)  # fmt: skip


def key(settings: TurnSettings) -> str:
    """What the figures come from, as a digest."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for pattern in SOURCES:
        for source in sorted(ROOT.glob(pattern)):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def load(path: Path, wanted: str) -> tuple[list[Point], str] | None:
    """The points and the description of the labelled set; None if there are none of this key."""
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    if kept["key"] != wanted:
        return None
    return [Point(**point) for point in kept["points"]], kept["described"]


def save(path: Path, wanted: str, points: Sequence[Point], described: str) -> None:
    """Keep them."""
    kept = {"key": wanted, "described": described, "points": [asdict(point) for point in points]}
    path.write_text(json.dumps(kept, indent=1) + "\n")
