"""Calendar: what is planned on a day."""

from __future__ import annotations

import datetime as dt
import sqlite3

from .spoken import parse_day, speak_day, speak_list, speak_time
from .store import Result, Store


async def check_calendar(store: Store, *, day: str, today: dt.date) -> Result:
    """The events of "today", "tomorrow", a weekday or an ISO date."""
    date = parse_day(day, today)
    if date is None:
        return {"error": "Which day do you mean? You can say today, tomorrow or a weekday."}

    def query(db: sqlite3.Connection) -> list[tuple[str, str]]:
        rows = db.execute(
            "SELECT time, title FROM events WHERE weekday = ? ORDER BY time", (date.weekday(),)
        )
        return [(row["time"], row["title"]) for row in rows]

    events = await store.read(query)
    when = speak_day(date, today)
    spoken = [f"{title} at {speak_time(time)}" for time, title in events]
    planned = speak_list(spoken) or "nothing planned"
    return {
        "day": date.isoformat(),
        "events": [{"time": time, "title": title} for time, title in events],
        "summary": f"{when[0].upper()}{when[1:]} you have {planned}.",
    }
