from __future__ import annotations

import pytest

from gateway.engines.brain.intents import Intent, classify
from gateway.engines.brain.slots import bare_destination, find_day, find_destination


@pytest.mark.parametrize(
    ("heard", "day"),
    [
        ("What is on my calendar tomorrow?", "tomorrow"),
        ("the day after tomorrow", "the day after tomorrow"),
        ("on Friday.", "Friday"),
        ("next friday", "next Friday"),
        ("Friday's calendar", "Friday"),
        ("on Wensday", "Wednesday"),
        ("tonight", "today"),
        ("not Monday, Tuesday", "Tuesday"),
        ("on March 5", "March 5"),
        ("the 5th of march", "March 5"),
        ("Sunday the 12th of May", "May 12"),
        ("hello", None),
        ("I may fly", None),
        ("", None),
    ],
)
def test_day(heard: str, day: str | None) -> None:
    assert find_day(heard) == day


@pytest.mark.parametrize(
    ("heard", "place"),
    [
        ("Book me a flight to Lisbon on Friday.", "Lisbon"),
        ("book me a flight to lisbon on friday", "Lisbon"),
        ("I want to fly to New York tomorrow", "New York"),
        ("I want to book a flight to Lisbon", "Lisbon"),
        ("a flight on Friday to São Paulo, please", "São Paulo"),
        ("flights to the Hague from Berlin", "Hague"),
        ("I would like to book a flight", None),
        ("I need to fly on Friday", None),
        ("book a flight for Friday", None),
        ("book a flight for me", None),
        ("", None),
    ],
)
def test_destination(heard: str, place: str | None) -> None:
    assert find_destination(heard) == place


@pytest.mark.parametrize(
    ("heard", "place"),
    [
        ("Lisbon.", "Lisbon"),
        ("To lisbon on Friday", "Lisbon"),
        ("uh, New York please", "New York"),
        ("on Friday", None),
        ("", None),
    ],
)
def test_bare_destination(heard: str, place: str | None) -> None:
    assert bare_destination(heard) == place


@pytest.mark.parametrize(
    ("heard", "intent"),
    [
        ("Hello.", Intent.GREETING),
        ("Good morning!", Intent.GREETING),
        ("Hi, how are you?", Intent.HOW_ARE_YOU),
        ("Where's my order?", Intent.ORDER),
        ("I would like to know where my packages, please.", Intent.ORDER),
        ("Anna at example.com", Intent.ORDER),
        ("My email is anahatexample.com", Intent.ORDER),
        ("Order the usual, please.", Intent.USUAL),
        ("What is on my calendar tomorrow?", Intent.CALENDAR),
        ("What's on my calender", Intent.CALENDAR),
        ("Am I free on Monday?", Intent.CALENDAR),
        ("Book me a flight to Lisbon on Friday.", Intent.FLIGHT),
        ("Put me a flight to Lisbon on Friday.", Intent.FLIGHT),
        ("But me have flight to Lisbon on Friday.", Intent.FLIGHT),
        ("Put me a fight to Lisbon on Friday.", Intent.FLIGHT),
        ("Book me to Lisbon on Friday.", Intent.FLIGHT),
        ("Thank you. Please tell me the long story.", Intent.STORY),
        ("Stop, please. Book me a flight to Lisbon on Friday.", Intent.FLIGHT),
        ("Stop.", Intent.CANCEL),
        ("Never mind.", Intent.CANCEL),
        ("Tell me a joke", Intent.JOKE),
        ("Say that again, please.", Intent.REPEAT),
        ("Pardon?", Intent.REPEAT),
        ("What can you do?", Intent.ABOUT),
        ("Tell me about yourself", Intent.ABOUT),
        ("What's your name?", Intent.NAME),
        ("What time is it?", Intent.TIME),
        ("Thanks a lot", Intent.THANKS),
        ("Thanks. Goodbye!", Intent.GOODBYE),
        ("Bye bye.", Intent.GOODBYE),
        ("the bye.", Intent.GOODBYE),
        ("That's all.", Intent.GOODBYE),
        ("Yes, please.", Intent.YES),
        ("Nope.", Intent.NO),
        ("I like turtles.", Intent.UNKNOWN),
        ("...", Intent.UNKNOWN),
    ],
)
def test_intent(heard: str, intent: Intent) -> None:
    assert classify(heard) is intent
