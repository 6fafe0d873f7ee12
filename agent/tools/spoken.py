"""Spoken forms: what a recogniser wrote to what a database holds, and back to what can be said."""

from __future__ import annotations

import datetime as dt
import re

_HOURS = (
    "twelve one two three four five six seven eight nine ten eleven "
    "twelve one two three four five six seven eight nine ten eleven"
).split()
_MINUTES = {0: "", 15: " fifteen", 30: " thirty", 45: " forty-five"}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EMAIL = re.compile(r"[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_MAX_EMAIL_CHARS = 254  # RFC 5321


def parse_email(text: str) -> str | None:
    """The e-mail address in `text`, lower case, or None. Reads "peter at example dot com" too."""
    text = text[: 4 * _MAX_EMAIL_CHARS].lower()
    text = re.sub(r"\s+at\s+", "@", text)
    text = re.sub(r"\s*\bdot\b\s*|\s*\.\s*(?=\w)", ".", text)
    text = re.sub(r"\s*\bunderscore\b\s*", "_", text)
    text = re.sub(r"\s*\b(?:dash|hyphen)\b\s*", "-", text)
    match = _EMAIL.search(text)
    return match[0] if match and len(match[0]) <= _MAX_EMAIL_CHARS else None


def parse_day(text: str, today: dt.date) -> dt.date | None:
    """The date that "today", "tomorrow", a weekday's name or an ISO date means, or None."""
    word = re.sub(r"[^a-z0-9-]+", " ", text.lower()).strip()
    word = re.sub(r"^(?:on|for|this|next|coming)\s+", "", word)
    if word in ("", "today", "tonight", "now"):
        return today
    if word == "tomorrow":
        return today + dt.timedelta(days=1)
    for number, name in enumerate(WEEKDAYS):
        if word == name.lower():
            return today + dt.timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    try:
        return dt.date.fromisoformat(word)
    except ValueError:
        return None


def speak_day(day: dt.date, today: dt.date) -> str:
    """A date as it is said: "today", "tomorrow", "on Friday", or "on Friday, March 6"."""
    ahead = (day - today).days
    if ahead in (0, 1):
        return ("today", "tomorrow")[ahead]
    name = WEEKDAYS[day.weekday()]
    return f"on {name}" if 1 < ahead <= 7 else f"on {name}, {day:%B} {day.day}"


def speak_time(clock: str) -> str:
    """A time such as "13:30" as it is said: "one thirty"."""
    hour, minute = (int(part) for part in clock.split(":"))
    return _HOURS[hour] + _MINUTES.get(minute, f" {minute:02d}")


def speak_list(items: list[str]) -> str:
    """Items as they are said: "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def speak_digits(number: int) -> str:
    """A number read digit by digit: "2 0 1"."""
    return " ".join(str(number))
