"""Every fault of the drills in a real call, held to its bar; `make faults` writes the table."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from caller.ears import Ears
from caller.voice import Voice
from demo.stack import Stack
from drills.call import SAID, Range
from drills.cases import DRILLS, UNDISTURBED, Drill, in_calls
from drills.counts import Observed
from drills.results import sounds_like, words_lost

_CALLS = list(in_calls([UNDISTURBED, *DRILLS]))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def drill_range(
    stack: Stack, metrics_port: int, voice: Voice, ears: Ears
) -> AsyncIterator[Range]:
    await voice.prepare(SAID)
    at = Observed(stack=stack, metrics_port=metrics_port)
    yield Range(at=at, voice=voice, ears=ears, say=print)


@pytest.mark.timeout(420)  # two tries of a call with eight questions, and quiet in between
@pytest.mark.parametrize(
    "drills", _CALLS, ids=["-".join(drill.id for drill in call) for call in _CALLS]
)
async def test_every_fault_of_a_call_stays_within_its_bars(
    drill_range: Range, drills: list[Drill]
) -> None:
    results = await drill_range.hold_to_bars(drills)
    assert not {r.drill.id: found for r in results if (found := r.problems())}


def test_lost_words_are_counted_and_other_words_are_not() -> None:
    assert words_lost("Book me a flight to Lisbon.", "book a flight") == 3
    assert words_lost("Book me a flight", "took me a fright") == 0


def test_a_city_is_known_by_its_sound() -> None:
    assert sounds_like("boston", "You are booked to boss on Monday.")
    assert not sounds_like("boston", "You are booked to Lisbon on Friday.")
    assert sounds_like("desk lamp", "Your desk clamp, order 4812, is on its way.")
    assert not sounds_like("lisbon", "Sorry, something went wrong on my side.")


def test_every_drill_has_its_call() -> None:
    assert sorted(drill.id for call in _CALLS for drill in call) == sorted(
        drill.id for drill in [UNDISTURBED, *DRILLS]
    )
    for call in _CALLS:
        assert all(drill.outcome != "hang up" for drill in call[:-1])
