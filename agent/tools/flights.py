"""Flights: book one."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3

from .spoken import parse_day, speak_day, speak_digits
from .store import EffectRequest, Result, Store, add_booking

_PLACE = re.compile(r"[^\W\d_][\w .'-]{1,59}", re.UNICODE)


async def book_flight(
    store: Store, *, call: str, destination: str, day: str, today: dt.date
) -> Result:
    """Book a flight to a place on a day, once for each request of a call."""
    place = destination.strip()
    if not _PLACE.fullmatch(place):
        return {"error": "Where would you like to fly?"}
    date = parse_day(day, today)
    if date is None:
        return {"error": "Which day would you like to fly?"}
    if date < today:
        return {"error": "That day has passed. Which day would you like to fly?"}

    def effect(db: sqlite3.Connection) -> Result:
        reference = add_booking(db, destination=place, day=date.isoformat())
        return {
            "reference": reference,
            "destination": place,
            "day": date.isoformat(),
            "summary": f"You are booked to {place} {speak_day(date, today)}. "
            f"Your reference is {speak_digits(reference)}.",
        }

    request = EffectRequest(call, "book_flight", {"to": place.lower(), "on": date.isoformat()})
    return await store.once(request, effect)
