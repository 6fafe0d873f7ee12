from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tools.spoken import parse_day, parse_email, speak_day, speak_list, speak_time

SATURDAY = dt.date(2026, 11, 21)


@pytest.mark.parametrize(
    "text",
    [
        "peter@example.com",
        "Peter@Example.com.",
        "peter at example dot com",
        "My email is Peter at example.com.",
        "it is peter@example.com, thanks",
    ],
)
def test_reads_addresses_as_people_and_recognisers_give_them(text: str) -> None:
    assert parse_email(text) == "peter@example.com"


def test_reads_spoken_punctuation() -> None:
    assert parse_email("peter underscore b dash c at mail dot example dot org") == (
        "peter_b-c@mail.example.org"
    )


@pytest.mark.parametrize("text", ["", "peter", "meet me at noon", "@", "a@b", "x" * 10_000])
def test_no_address(text: str) -> None:
    assert parse_email(text) is None


@given(st.text(max_size=2000))
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = parse_email(text)
    assert address is None or "@" in address


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", SATURDAY),
        ("Tomorrow.", SATURDAY + dt.timedelta(days=1)),
        ("on Friday", SATURDAY + dt.timedelta(days=6)),
        ("Saturday", SATURDAY + dt.timedelta(days=7)),
        ("2026-12-01", dt.date(2026, 12, 1)),
    ],
)
def test_days(text: str, day: dt.date) -> None:
    assert parse_day(text, SATURDAY) == day


@pytest.mark.parametrize("text", ["someday", "2026-13-01", "32"])
def test_no_day(text: str) -> None:
    assert parse_day(text, SATURDAY) is None


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "today"), (1, "tomorrow"), (6, "on Friday"), (10, "on Tuesday, December 1")],
)
def test_says_days(days: int, said: str) -> None:
    assert speak_day(SATURDAY + dt.timedelta(days=days), SATURDAY) == said


@pytest.mark.parametrize(
    ("clock", "said"), [("10:00", "ten"), ("13:30", "one thirty"), ("00:15", "twelve fifteen")]
)
def test_says_times(clock: str, said: str) -> None:
    assert speak_time(clock) == said


@pytest.mark.parametrize(
    ("items", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_says_lists(items: list[str], said: str) -> None:
    assert speak_list(items) == said
