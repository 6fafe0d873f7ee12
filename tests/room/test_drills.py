"""A few of the fault drills in every run; `make faults` holds them all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from caller.ears import Ears
from caller.voice import Voice
from demo.stack import Stack
from drills.call import Drilled, Range, words_lost
from drills.cases import DRILLS, LINE, SECOND_LINE, UNDISTURBED, Drill

_HELD = ("F01", "F19", "F25")
"""One fault a stage."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def drill_range(
    stack: Stack, metrics_port: int, voice: Voice, ears: Ears
) -> AsyncIterator[Range]:
    await voice.prepare([LINE, SECOND_LINE])
    yield Range(stack=stack, metrics_port=metrics_port, voice=voice, ears=ears)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def undisturbed(drill_range: Range) -> Drilled:
    result, problems = await drill_range.hold_to_bars(UNDISTURBED, None, say=print)
    assert not problems
    return result


@pytest.mark.parametrize("drill", [drill for drill in DRILLS if drill.id in _HELD], ids=_HELD)
async def test_a_fault_stays_within_its_bars(
    drill_range: Range, undisturbed: Drilled, drill: Drill
) -> None:
    result, problems = await drill_range.hold_to_bars(drill, undisturbed, say=print)
    assert not problems
    assert result.faults, "the fault was never met"


def test_lost_words_are_counted_and_other_words_are_not() -> None:
    assert words_lost("Book me a flight to Lisbon.", "book a flight") == 3
    assert words_lost("Book me a flight", "took me a fright") == 0
