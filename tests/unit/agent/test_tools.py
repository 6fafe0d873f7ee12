from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.tools.calendar import check_calendar
from agent.tools.flights import book_flight
from agent.tools.orders import lookup_order, order_the_usual
from agent.tools.store import Result, Store

SATURDAY = dt.date(2026, 11, 21)
PETER = "peter@example.com"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "store.db")


def rows(store: Store, table: str) -> int:
    with sqlite3.connect(store._path) as db:
        count: int = db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
    db.close()
    return count


async def test_looks_up_an_order_by_a_spoken_address(store: Store) -> None:
    result = await lookup_order(store, email="Peter at example dot com.")
    assert result["order"] == 4812
    assert "desk lamp" in result["summary"]
    assert "on Monday" in result["summary"]


@pytest.mark.parametrize("email", ["", "nonsense", "'; DROP TABLE orders; --", "x" * 1_000_000])
async def test_a_bad_address_is_an_error_to_speak(store: Store, email: str) -> None:
    assert "address" in (await lookup_order(store, email=email))["error"]


async def test_an_unknown_customer(store: Store) -> None:
    assert "no order" in (await lookup_order(store, email="eve@example.com"))["error"]


async def test_calendar(store: Store) -> None:
    result = await check_calendar(store, day="tomorrow", today=SATURDAY)
    assert result["summary"] == (
        "Tomorrow you have a dentist appointment at ten and lunch with Sam at one."
    )
    assert "error" in await check_calendar(store, day="someday", today=SATURDAY)


async def test_reading_does_not_queue_behind_a_writer(store: Store) -> None:
    with closing(sqlite3.connect(store._path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        result = await asyncio.wait_for(lookup_order(store, email=PETER), 2.0)
    assert result["order"] == 4812


async def test_books_a_flight_once(store: Store) -> None:
    async def book() -> Result:
        return await book_flight(
            store, call="c", destination="Lisbon", day="Friday", today=SATURDAY
        )

    first, *others = await asyncio.gather(*(book() for _ in range(8)))
    assert first["summary"] == "You are booked to Lisbon on Friday. Your reference is 2 0 1."
    assert all(other == first for other in others)
    assert rows(store, "bookings") == rows(store, "effects") == 1


@pytest.mark.parametrize(
    ("destination", "day"),
    [("", "Friday"), ("Lisbon", "someday"), ("Lisbon", "2020-01-01"), ("1; --", "today")],
)
async def test_what_cannot_be_booked_leaves_no_trace(
    store: Store, destination: str, day: str
) -> None:
    result = await book_flight(store, call="c", destination=destination, day=day, today=SATURDAY)
    assert "error" in result
    assert rows(store, "bookings") == rows(store, "effects") == 0


async def test_a_repeated_request_is_one_order_until_it_was_heard_of(store: Store) -> None:
    first = await order_the_usual(store, call="c", email=PETER)
    again = await order_the_usual(Store(store._path), call="c", email=PETER)
    assert first == again
    assert "croissant" in first["summary"]
    await store.mark_reported("c")
    second = await order_the_usual(store, call="c", email=PETER)
    assert second["order"] == first["order"] + 1
    assert await order_the_usual(store, call="c", email=PETER) == second


async def test_other_calls_and_other_requests_are_their_own(store: Store) -> None:
    orders = [await order_the_usual(store, call=call, email=PETER) for call in ("c", "d")]
    assert orders[0]["order"] != orders[1]["order"]
    days = [
        await book_flight(store, call="c", destination="Lisbon", day=day, today=SATURDAY)
        for day in ("Friday", "Monday", "friday.")
    ]
    assert days[0] == days[2] != days[1]


async def test_the_usual_needs_a_known_customer(store: Store) -> None:
    assert "e-mail" in (await order_the_usual(store, call="c", email=""))["error"]
    assert "error" in await order_the_usual(store, call="c", email="eve@example.com")
    assert rows(store, "orders") == 2


async def test_an_effect_outlives_the_reply_that_started_it(store: Store) -> None:
    task = asyncio.create_task(order_the_usual(store, call="c", email=PETER))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await order_the_usual(store, call="c", email=PETER)
    assert again["order"] == 4813
    assert rows(store, "orders") == 3


def test_a_second_store_keeps_what_the_first_wrote(store: Store) -> None:
    assert rows(Store(store._path), "orders") == 2
