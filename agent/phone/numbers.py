"""Which numbers may be called: decided here, from settings, whatever a model asks for."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[\s().\-/]+")
_NUMBER = re.compile(r"\+?[0-9]{2,15}")
_SIP = re.compile(r"sips?:[A-Za-z0-9_.+\-]{1,64}@[A-Za-z0-9.\-]{1,253}(?::[0-9]{1,5})?")
_EMERGENCY = frozenset(
    {"110", "112", "911", "999", "000", "118", "119", "113", "117", "122", "144"}
)

PREMIUM = (
    "+1900", "+1976", "+31900", "+31906", "+31909", "+3289", "+3390", "+3389", "+34803", "+34806",
    "+34807", "+39892", "+39899", "+41900", "+41901", "+41906", "+43900", "+43901", "+43930",
    "+449", "+4487", "+45901", "+46900", "+46939", "+46944", "+47829", "+48700", "+49900",
    "+49137",
    "+351760", "+358600", "+358700", "+61190", "+64900", "+81990", "+852900", "+979", "+881",
    "+882", "+883",
)  # fmt: skip
"""Ranges in which the one who is called earns money, and satellite networks. No list of them is
complete: allow as little as you need."""


class DialRefused(Exception):
    """This number is not called; the message says why, without the number."""


def normalise(text: str) -> str:
    """A number or SIP address in one spelling.

    Raises:
        DialRefused: It is neither.
    """
    if _SIP.fullmatch(text.strip()):
        return text.strip()
    number = _SEPARATORS.sub("", text.strip().removeprefix("tel:"))
    number = f"+{number[2:]}" if number.startswith("00") and len(number) > 9 else number
    if not number.isascii() or not _NUMBER.fullmatch(number):
        raise DialRefused("That is not a telephone number.")
    return number


class DialPolicy:
    """Decides whether a number may be called.

    Args:
        allow: What may be called, comma-separated; a * at the end stands for any rest.
    """

    def __init__(self, allow: str) -> None:
        self._allow = [part.strip() for part in allow.split(",") if part.strip()]

    def check(self, text: str) -> str:
        """The number in one spelling.

        Raises:
            DialRefused: It may not be called.
        """
        number = normalise(text)
        if number.lstrip("+") in _EMERGENCY:
            raise DialRefused("Emergency numbers are not called from here.")
        if number.startswith(PREMIUM):
            raise DialRefused("Premium numbers are not called from here.")
        if not any(_matches(number, pattern) for pattern in self._allow):
            raise DialRefused("That number is not among those that may be called.")
        return number


def _matches(number: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        # A prefix of digits must not open the door to addresses anywhere.
        return number.startswith(pattern[:-1]) and len(pattern) > 1
    return number == (pattern if pattern.startswith("sip") else _SEPARATORS.sub("", pattern))


def sip_or_tel(number: str) -> str:
    """As a REFER wants it."""
    return number if number.startswith("sip") else f"tel:{number}"
