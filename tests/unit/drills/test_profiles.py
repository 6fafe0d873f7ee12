"""The table of another gateway has the same cases with the same bars, or says why not."""

from __future__ import annotations

from drills.cases import DRILLS
from drills.profiles import Profile


def test_over_gateflow_a_bar_differs_only_with_a_reason() -> None:
    cases = {drill.id: drill for drill in DRILLS}
    assert Profile.AIGATEWAY.drills(DRILLS) == list(DRILLS)
    held = Profile.GATEFLOW.drills(DRILLS)
    for drill in held:
        assert drill.dead_air_ms <= cases[drill.id].dead_air_ms
        assert bool(drill.reason) == (drill != cases[drill.id])
    left_out = cases.keys() - {drill.id for drill in held}
    assert left_out
    assert all(f"{case}: " in Profile.GATEFLOW.missing for case in left_out)
