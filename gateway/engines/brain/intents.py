"""What a caller wants, by one utterance alone."""

from __future__ import annotations

from enum import Enum

from gateway.engines.brain.email import find_email
from gateway.engines.brain.slots import find_day, find_destination
from gateway.engines.brain.text import has_phrase, mentions, words_of


class Intent(Enum):
    """What an utterance asks for."""

    ORDER = "order"
    CALENDAR = "calendar"
    FLIGHT = "flight"
    USUAL = "usual"
    GREETING = "greeting"
    GOODBYE = "goodbye"
    THANKS = "thanks"
    HOW_ARE_YOU = "how_are_you"
    NAME = "name"
    ABOUT = "about"
    STORY = "story"
    JOKE = "joke"
    TIME = "time"
    REPEAT = "repeat"
    CANCEL = "cancel"
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


TASKS = frozenset({Intent.ORDER, Intent.CALENDAR, Intent.FLIGHT, Intent.USUAL})
"""Intents that a tool serves."""

_SHORT = 6
"""Words up to which a courtesy is the whole point of an utterance rather than its wrapping."""

_ORDER = ("order", "orders", "package", "parcel", "delivery", "delivered", "shipment", "shipped")
_ORDER_EXTRA = ("tracking", "purchase", "lamp", "email", "e-mail")
_FLIGHT = ("flight", "flights", "fly", "plane", "airplane", "airport", "flying")
_CALENDAR = (
    "calendar",
    "calender",
    "schedule",
    "appointment",
    "appointments",
    "agenda",
    "meetings",
)


def _task(text: str, words: list[str]) -> Intent | None:
    if mentions(words, ("usual",)):
        return Intent.USUAL
    if mentions(words, _FLIGHT):
        return Intent.FLIGHT
    if mentions(words, _CALENDAR) or has_phrase(words, "am i free", "am i busy", "do i have on"):
        return Intent.CALENDAR
    if mentions(words, (*_ORDER, *_ORDER_EXTRA)) or find_email(text) is not None:
        return Intent.ORDER
    if words[:1] in (["book"], ["put"], ["but"]) and find_destination(text) and find_day(text):
        return Intent.FLIGHT  # "book me a ... to Lisbon on Friday", its noun misheard
    return None


def _talk(words: list[str]) -> Intent | None:
    if mentions(words, ("story", "stories")):
        return Intent.STORY
    if mentions(words, ("joke", "jokes")) or has_phrase(words, "something funny", "make me laugh"):
        return Intent.JOKE
    if has_phrase(
        words, "say that again", "say it again", "repeat", "pardon", "come again",
        "what did you say", "what was that", "one more time", "didn't catch that", "didn't hear",
    ):  # fmt: skip
        return Intent.REPEAT
    if has_phrase(
        words, "what can you do", "what do you do", "can you help me", "help me", "help", "options",
        "about yourself", "about you", "how can you help", "what are you able to do",
    ):  # fmt: skip
        return Intent.ABOUT
    if has_phrase(
        words, "your name", "who are you", "who is this", "who am i talking to", "who's this"
    ):
        return Intent.NAME
    if has_phrase(words, "how are you", "how are you doing", "how's it going", "how do you do"):
        return Intent.HOW_ARE_YOU
    if has_phrase(
        words, "what time", "what's the time", "the time", "what date", "what day is it",
        "what's the date", "what day is today",
    ):  # fmt: skip
        return Intent.TIME
    return None


def _courtesy(words: list[str]) -> Intent | None:
    if has_phrase(
        words, "goodbye", "good bye", "good-bye", "bye", "bye-bye", "hang up", "good buy",
        "farewell", "see you", "talk to you later", "that's all", "that is all", "that will be all",
    ):  # fmt: skip
        return Intent.GOODBYE
    if has_phrase(
        words, "never mind", "nevermind", "cancel", "forget it", "stop", "forget about it"
    ):
        return Intent.CANCEL
    if has_phrase(words, "thank you", "thanks", "thank", "cheers", "much appreciated"):
        return Intent.THANKS
    if words[:1] and words[0] in (
        "yes",
        "yeah",
        "yep",
        "yup",
        "sure",
        "okay",
        "ok",
        "correct",
        "right",
    ):
        return Intent.YES
    if words[:1] and words[0] in ("no", "nope", "nah"):
        return Intent.NO
    if words[:1] and words[0] in ("hello", "hi", "hey", "hallo", "howdy"):
        return Intent.GREETING
    if has_phrase(words, "good morning", "good afternoon", "good evening", "good day"):
        return Intent.GREETING
    return None


def classify(text: str) -> Intent:
    """Return what an utterance asks for. Tasks win over talk, talk over courtesy."""
    words = words_of(text)
    if not words:
        return Intent.UNKNOWN
    if has_phrase(words, "goodbye", "good bye", "bye", "hang up") and len(words) <= _SHORT:
        return Intent.GOODBYE  # "bye, and thanks for the order"
    if has_phrase(words[-3:], "never mind", "nevermind", "cancel", "cancel that", "forget it"):
        return Intent.CANCEL  # "order the usual, no, cancel that"
    return _task(text, words) or _talk(words) or _courtesy(words) or Intent.UNKNOWN
