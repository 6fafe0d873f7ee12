"""JSON as it may come from a peer that is broken or hostile.

``json.loads`` accepts ``NaN`` and ``Infinity``, turns ``1e999`` into infinity, and raises
``RecursionError`` on deep nesting. Here each is a ``ProtocolError``, and so is anything oversized.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from .errors import ProtocolError
from .limits import Limits

_SURROGATE = re.compile("[\ud800-\udfff]")


def _refuse_constant(name: str) -> NoReturn:
    raise ProtocolError(f"{name} is not a number")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ProtocolError("a number is out of range")
    return value


def _check_depth(text: str, maximum: int) -> None:
    """Refuse nesting that the parser would recurse into; brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= maximum:
        return
    depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > maximum:
                raise ProtocolError("JSON is nested too deeply")
        elif char in "]}":
            depth -= 1


def loads_object(text: str, limits: Limits) -> dict[str, object]:
    """Parse one JSON object.

    Raises:
        ProtocolError: It is too large, too deep, not JSON, not an object, or holds a number that is
            not finite. Text that is not Unicode is refused where a member is read.
    """
    # a character is at least one byte, so the cheap test comes first
    if len(text) > limits.json_bytes or len(text.encode("utf-8", "replace")) > limits.json_bytes:
        raise ProtocolError("text message is too large")
    _check_depth(text, limits.json_depth)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ProtocolError:
        raise
    except (ValueError, RecursionError):
        # the parser's message quotes its input, which may be what somebody said
        raise ProtocolError("text message is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("text message is not a JSON object")
    return value


def optional_str(obj: dict[str, object], key: str) -> str | None:
    """A string member, or ``None`` when it is absent or null."""
    value = obj.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ProtocolError(f"{key} is not a string")
    if _SURROGATE.search(value):
        raise ProtocolError(f"{key} is not Unicode text")
    return value


def required_str(obj: dict[str, object], key: str) -> str:
    """A string member that must be there."""
    value = optional_str(obj, key)
    if value is None:
        raise ProtocolError(f"{key} is missing")
    return value


def optional_bool(obj: dict[str, object], key: str) -> bool | None:
    """A boolean member, or ``None`` when it is absent or null."""
    value = obj.get(key)
    if value is not None and not isinstance(value, bool):
        raise ProtocolError(f"{key} is not a boolean")
    return value


def required_bool(obj: dict[str, object], key: str) -> bool:
    """A boolean member that must be there."""
    value = optional_bool(obj, key)
    if value is None:
        raise ProtocolError(f"{key} is missing")
    return value


def optional_number(obj: dict[str, object], key: str, *, maximum: float) -> float | None:
    """A number in ``[0, maximum]``, or ``None`` when it is absent or null."""
    value = obj.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"{key} is not a number")
    if not 0 <= value <= maximum:
        raise ProtocolError(f"{key} is out of range")
    return float(value)


def optional_object(obj: dict[str, object], key: str) -> dict[str, object] | None:
    """An object member, or ``None`` when it is absent or null."""
    value = obj.get(key)
    if value is not None and not isinstance(value, dict):
        raise ProtocolError(f"{key} is not an object")
    return value
