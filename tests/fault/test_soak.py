"""A short soak in every run; `make soak` holds the long ones."""

from __future__ import annotations

from pathlib import Path

from drills.soak import Soak

CALLS = 15
SEED = 20
"""Fixed, so that a run that failed can be repeated: python -m drills soak --calls 15 --seed 20."""


async def test_a_soak_loses_doubles_and_leaves_nothing(tmp_path: Path) -> None:
    tally = await Soak(calls=CALLS, seed=SEED, folder=tmp_path, say=print, lanes=8).run()
    print(tally, f"seed {SEED}")  # noqa: T201 - shown when the test fails
    assert tally.problems() == []
    assert tally.calls == CALLS
    assert tally.faults.total() >= CALLS
