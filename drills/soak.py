"""A soak at plugin level: many calls, faults by chance, and nothing lost, doubled or left behind.

Each call has real sockets to a gateway with simulated engines, the AIgateway plugins, and the
ledger of effects. Every order has to be understood word by word, carried out once, and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from agent.tools.store import Store
from drills.chance import draw
from drills.plugin_call import CHAR_MS, WORD_MS, WORDS, PluginCall
from gateway.config import BrainConfig, GatewayConfig, SimConfig
from gateway.server import Gateway

LANES = 10
"""Calls at once, each with a gateway of its own: its faults are nobody else's."""
RSS_KIB_A_CALL = 24.0
"""Growth of memory that counts as flat, without its largest step up and down. A replay ring has up
to 480."""
WARM_UP = 0.3
"""Share of the calls in which caches and the allocator's arenas still fill."""

_ORDERS_A_CALL = 2
_GRACE_S = 3.0
"""After the last call, until transports and their peers in this process have closed."""
_PROGRESS = 10
"""Calls between two lines of progress."""


@dataclass(kw_only=True)
class Tally:
    """What has come of the calls so far.

    Attributes:
        calls: Calls that have ended.
        orders: Orders that callers gave and were told of.
        placed: Orders in the database.
        lost: Orders that were not understood word by word, once each.
        told_twice: Replies with more sound than their text has.
        asked_again: Times that a caller had to ask again.
        faults: Faults that the plugins met.
        rss_kib: Memory of this process after so many calls.
        failures: Why calls were not held to their end.
        left: Tasks and descriptors that the calls left behind.
    """

    calls: int = 0
    orders: int = 0
    placed: int = 0
    lost: int = 0
    told_twice: int = 0
    asked_again: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rss_kib: dict[int, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def rss_growth_kib(self) -> float:
        """Growth of memory after the warm-up, in KiB a call, without its largest steps.

        One burst (an oversize message in single bytes) makes the allocator keep 3 to 8 MiB more,
        once, or keep 200 MiB for a while. What leaks grows again and again, and no step hides it.
        """
        settled = [self.rss_kib[n] for n in sorted(self.rss_kib) if n >= self.calls * WARM_UP]
        steps = sorted(after - before for before, after in pairwise(settled))
        return sum(steps[1:-1]) / len(steps) if steps else 0.0

    def problems(self) -> list[str]:
        """What should not be, memory apart."""
        found = [*self.failures, *self.left]
        if self.lost:
            found.append(f"{self.lost} orders lost or doubled on the way to the agent")
        if self.placed != self.orders:
            found.append(f"{self.placed} orders carried out instead of {self.orders}")
        if self.told_twice:
            found.append(f"{self.told_twice} replies with something said twice")
        return found

    def __str__(self) -> str:
        rss_mib = max(self.rss_kib.values(), default=0.0) / 1024
        return (
            f"{self.calls} calls, {self.orders} orders, {self.lost} lost, "
            f"{self.asked_again} asked again, {self.faults.total()} faults met, {rss_mib:.0f} MiB"
        )


class Soak:
    """Calls with faults by chance.

    Args:
        calls: How many.
        seed: Of all chance.
        folder: For the database.
        say: Told the progress.
        lanes: Calls at once.
    """

    def __init__(
        self,
        *,
        calls: int,
        seed: int,
        folder: Path,
        say: Callable[[str], None],
        lanes: int = LANES,
    ) -> None:
        self.tally = Tally()
        self._calls = calls
        self._seed = seed
        self._database = folder / "store.db"
        self._store = Store(self._database)
        self._placed_before = self._placed()
        self._say = say
        self._lanes = min(lanes, calls)
        self._sim = SimConfig(
            script=_script(folder),
            tts_connect_ms=0,
            tts_first_audio_ms=20,
            tts_realtime_factor=20.0,
            tts_char_ms=CHAR_MS,
            stt_partial_interval_ms=60,
        )
        self._process = psutil.Process()
        self._began_at = time.monotonic()

    async def run(self) -> Tally:
        """Hold the calls."""
        brain = BrainConfig(first_token_ms=20, words_per_s=200.0)
        config = GatewayConfig(port=0, sim=self._sim, brain=brain)
        async with contextlib.AsyncExitStack() as gateways:
            lanes = [
                await gateways.enter_async_context(Gateway(config)) for _ in range(self._lanes)
            ]
            # what is made once a process (threads, certificates) is not left behind by a call
            await PluginCall(
                url=lanes[0].url, call_id="warm-up", store=self._store, rng=random.Random(0)
            ).hold(orders=1)
            self._placed_before = self._placed()
            tasks, descriptors = asyncio.all_tasks(), self._process.num_fds()
            numbers = iter(range(1, self._calls + 1))
            async with asyncio.TaskGroup() as callers:
                for gateway in lanes:
                    callers.create_task(self._hold_calls(gateway, numbers))
            self.tally.placed = self._placed() - self._placed_before
            await self._look_for_leaks(tasks, descriptors)
        return self.tally

    async def _hold_calls(self, gateway: Gateway, numbers: Iterator[int]) -> None:
        for number in numbers:
            rng = random.Random(f"{self._seed}:{number}")
            faults = draw(rng)
            gateway.faults.set(faults, seed=number)
            call = PluginCall(url=gateway.url, call_id=f"call {number}", store=self._store, rng=rng)
            outcome = await call.hold(orders=_ORDERS_A_CALL)
            gateway.faults.clear()
            tally = self.tally
            tally.calls += 1
            tally.orders += outcome.orders
            tally.lost += outcome.lost
            tally.told_twice += outcome.told_twice
            tally.asked_again += outcome.asked_again
            tally.faults += outcome.faults
            if outcome.error:
                tally.failures.append(outcome.error)
            if outcome.error or outcome.lost or outcome.told_twice:
                self._say(f"call {number}: {outcome} of {json.dumps(faults)}")
            if tally.calls % _PROGRESS == 0:
                gc.collect()
                tally.rss_kib[tally.calls] = self._process.memory_info().rss / 1024
                self._say(f"{time.monotonic() - self._began_at:5.0f} s  {tally}")

    async def _look_for_leaks(self, tasks: set[asyncio.Task[object]], descriptors: int) -> None:
        give_up_at = time.monotonic() + _GRACE_S
        while time.monotonic() < give_up_at:
            left = {task.get_name() for task in asyncio.all_tasks() - tasks if not task.done()}
            more = self._process.num_fds() - descriptors
            if not left and more <= 0:
                return
            await asyncio.sleep(0.05)
        if left:
            self.tally.left.append(f"tasks left: {', '.join(sorted(left))}")
        if more > 0:
            self.tally.left.append(f"{more} descriptors left open")

    def _placed(self) -> int:
        with closing(sqlite3.connect(self._database)) as db:
            count: int = db.execute("SELECT count(*) FROM orders").fetchone()[0]
        return count


def _script(folder: Path) -> Path:
    path = folder / "script.json"
    path.write_text(json.dumps({"utterances": [{"text": WORDS, "word_ms": WORD_MS}]}))
    return path
