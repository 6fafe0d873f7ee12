"""A soak in real rooms: calls with faults by chance, and nothing lost, doubled or left behind."""

from __future__ import annotations

import asyncio
import random
import time

import psutil

from demo.stack import Stack
from drills.call import Range
from drills.cases import DRILLS, UNDISTURBED

_GRACE_S = 10.0
"""After the last call, until its job process has ended and its sockets are closed."""
_SPARE_DESCRIPTORS = 4
"""A connection to the media server that is being replaced, a log that is being written."""

HEALED = [drill for drill in DRILLS if drill.outcome == "answer"]
"""Faults after which the caller has to be answered."""


async def soak_rooms(place: Range, *, rooms: int, seed: int) -> list[str]:
    """Hold calls with faults by chance in real rooms; what was lost, doubled or left behind."""
    rng = random.Random(seed)
    stack = place.at.stack
    await place.hold([UNDISTURBED])
    before = await _held_open(stack)
    problems: list[str] = []
    began_at = time.monotonic()
    for number in range(1, rooms + 1):
        results = await place.hold([rng.choice(HEALED)])
        lost = [f"room {number}: {r.drill.id}: {why}" for r in results for why in r.losses()]
        problems += lost
        place.say(f"{time.monotonic() - began_at:5.0f} s  {number} rooms, {len(problems)} problems")
    return problems + await _left_behind(stack, before)


async def _held_open(stack: Stack) -> dict[str, int]:
    """Sockets, processes and descriptors that are there between two calls."""
    stats = await stack.gateway_stats()
    worker = psutil.Process(stack.child("worker").pid)
    return {
        "sockets at the gateway": sum(stage["open"] for stage in stats.values()),
        "descriptors of the worker": worker.num_fds(),
        "processes of the worker": len(worker.children(recursive=True)),
    }


async def _left_behind(stack: Stack, before: dict[str, int]) -> list[str]:
    give_up_at = time.monotonic() + _GRACE_S
    while True:
        now = await _held_open(stack)
        left = {what: now[what] - before[what] for what in now}
        left["descriptors of the worker"] -= _SPARE_DESCRIPTORS
        if all(count <= 0 for count in left.values()):
            return []
        if time.monotonic() > give_up_at:
            return [f"{count} {what} left" for what, count in left.items() if count > 0]
        await asyncio.sleep(0.2)
