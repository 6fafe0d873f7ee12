"""What gateway, worker and database have counted so far."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from demo.stack import HOST, Stack

_SAMPLE = re.compile(r"parley_(faults|guard_actions)_total\{(.*)\} ([0-9.e+]+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counters at one moment.

    Attributes:
        requests: Sockets and requests that the gateway has accepted.
        bookings: Flights in the database.
        faults: `parley_faults_total`, by stage and kind.
        actions: `parley_guard_actions_total`, by stage and action.
    """

    requests: int
    bookings: int
    faults: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)

    def since(self, before: Counts) -> Counts:
        """What was counted since an earlier moment."""
        return Counts(
            requests=self.requests - before.requests,
            bookings=self.bookings - before.bookings,
            faults=self.faults - before.faults,
            actions=self.actions - before.actions,
        )


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A stack whose counters are read and whose gateway is given its faults.

    Attributes:
        stack: Server, gateway and worker.
        metrics_port: The worker's Prometheus page.
    """

    stack: Stack
    metrics_port: int

    async def counts(self) -> Counts:
        """The counters now."""
        stats = await self.stack.gateway_stats()
        page = f"http://{HOST}:{self.metrics_port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(page) as answer:
            samples = list(_samples(await answer.text()))
        return Counts(
            requests=sum(stage["opened"] for stage in stats.values()),
            bookings=await asyncio.to_thread(_bookings, self.stack.store_path),
            faults=Counter({what: n for name, what, n in samples if name == "faults"}),
            actions=Counter({what: n for name, what, n in samples if name == "guard_actions"}),
        )

    async def set_faults(self, script: tuple[dict[str, Any], ...], *, seed: int = 1) -> None:
        """Put a fault script in force instead of the one before."""
        body = {"seed": seed, "faults": list(script)}
        async with aiohttp.ClientSession() as http, http.put(self._faults, json=body) as answer:
            answer.raise_for_status()

    async def fired(self) -> int:
        """How often the faults of the script in force have acted."""
        async with aiohttp.ClientSession() as http, http.get(self._faults) as answer:
            script = await answer.json()
            return sum(fault["fired"] for fault in script["faults"])

    @property
    def _faults(self) -> str:
        return f"http://{HOST}:{self.stack.config.ports.gateway}/admin/faults"


def _samples(page: str) -> Iterator[tuple[str, str, int]]:
    for name, labels, value in _SAMPLE.findall(page):
        named = dict(_LABEL.findall(labels))
        what = named["fault"] if name == "faults" else named["action"]
        yield name, f"{named['stage']} {what}", int(float(value))


def _bookings(store: Path) -> int:
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as db:
        found: tuple[int] = db.execute("SELECT count(*) FROM bookings").fetchone()
        return found[0]
