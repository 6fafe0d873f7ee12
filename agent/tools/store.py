"""The store behind the tools: SQLite, with a ledger that makes every effect happen once.

Each operation opens its own connection in a worker thread, so a slow disk never blocks the audio,
and any number of job processes share one file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")

Result = dict[str, Any]
"""A tool's answer: a JSON object with `summary` or `error`."""

_BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
    email TEXT PRIMARY KEY, name TEXT NOT NULL, usual TEXT);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, email TEXT NOT NULL, item TEXT NOT NULL,
    status TEXT NOT NULL, arrives TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    weekday INTEGER NOT NULL, time TEXT NOT NULL, title TEXT NOT NULL,
    PRIMARY KEY (weekday, time));
CREATE TABLE IF NOT EXISTS bookings (
    reference INTEGER PRIMARY KEY, destination TEXT NOT NULL, day TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS effects (
    call TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL, tool TEXT NOT NULL,
    result TEXT NOT NULL, reported INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (call, key, sequence));
"""

_DEMO_CUSTOMERS = [
    ("peter@example.com", "Peter", "large coffee and a croissant"),
    ("sam@example.com", "Sam", "green tea"),
]
_DEMO_ORDERS = [
    (4812, "peter@example.com", "desk lamp", "shipped", "Monday"),
    (4790, "sam@example.com", "travel bag", "delivered", "yesterday"),
]
_DEMO_EVENTS = [
    (day, time, title)
    for day in range(7)
    for time, title in (("10:00", "a dentist appointment"), ("13:00", "lunch with Sam"))
]
_FIRST_BOOKING = 201


class Store:
    """Customers, orders, calendar, bookings and the ledger of effects.

    Args:
        path: The database file; it and its folder are made, and seeded with demo data, when
        missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT OR IGNORE INTO customers VALUES (?, ?, ?)", _DEMO_CUSTOMERS)
            db.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?)", _DEMO_ORDERS)
            db.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", _DEMO_EVENTS)

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            with db:
                # Taking the write lock first: two workers with the same key must queue, not race.
                # Readers see one state of the file and wait for nobody.
                db.execute("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")
                yield db

    async def read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run a query in a worker thread; it waits for no writer."""

        def run() -> _T:
            with self._transaction(writes=False) as db:
                return query(db)

        return await asyncio.to_thread(run)

    async def once(
        self, request: EffectRequest, effect: Callable[[sqlite3.Connection], Result]
    ) -> Result:
        """Run an effect unless this request was carried out and nobody has heard of it yet.

        The effect and its ledger row are one transaction: an effect without a row, or a row without
        its effect, cannot be seen even after a crash.
        """

        def run() -> Result:
            with self._transaction() as db:
                row = db.execute(
                    "SELECT sequence, result, reported FROM effects WHERE call = ? AND key = ? "
                    "ORDER BY sequence DESC LIMIT 1",
                    (request.call, request.key),
                ).fetchone()
                if row is not None and not row["reported"]:
                    earlier: Result = json.loads(row["result"])
                    return earlier
                result = effect(db)
                if "error" not in result:
                    sequence = row["sequence"] + 1 if row is not None else 0
                    db.execute(
                        "INSERT INTO effects (call, key, sequence, tool, result) "
                        "VALUES (?, ?, ?, ?, ?)",
                        (request.call, request.key, sequence, request.tool, json.dumps(result)),
                    )
                return result

        # Shielded: what ends the reply must not end an effect half-way.
        return await asyncio.shield(asyncio.to_thread(run))

    async def mark_reported(self, call: str) -> None:
        """The caller has heard of every effect of this call: the same request is a new one now."""

        def run() -> None:
            with self._transaction() as db:
                db.execute("UPDATE effects SET reported = 1 WHERE call = ?", (call,))

        await asyncio.to_thread(run)


@dataclass(frozen=True)
class EffectRequest:
    """A request for an effect. Equal requests of a call are one until the caller heard its result.

    So a reply that was interrupted, generated twice, or begun again by another worker changes
    nothing, and who hears "done" and asks again gets a second one.

    Attributes:
        call: The call, the same for every worker that serves it.
        tool: The tool's name.
        arguments: What it was asked to do.
    """

    call: str
    tool: str
    arguments: dict[str, str]

    @property
    def key(self) -> str:
        """A digest of tool and arguments."""
        canonical = json.dumps([self.tool, self.arguments], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def next_number(db: sqlite3.Connection, table: str, column: str, first: int) -> int:
    """The next free number of a table's key column (both names are constants of the caller)."""
    row = db.execute(f"SELECT COALESCE(MAX({column}) + 1, ?) FROM {table}", (first,)).fetchone()  # noqa: S608 - names are constants, never input
    return int(row[0])


def add_order(db: sqlite3.Connection, *, email: str, item: str) -> int:
    """Place an order and return its number."""
    number = next_number(db, "orders", "number", 5001)
    db.execute(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?)", (number, email, item, "placed", "tomorrow")
    )
    return number


def add_booking(db: sqlite3.Connection, *, destination: str, day: str) -> int:
    """Book a flight and return its reference."""
    reference = next_number(db, "bookings", "reference", _FIRST_BOOKING)
    db.execute("INSERT INTO bookings VALUES (?, ?, ?)", (reference, destination, day))
    return reference
