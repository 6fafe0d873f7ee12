"""JSON from strangers: bounded in size and depth, finite numbers only.

`json.loads` alone accepts NaN, Infinity and 1e999, lone surrogates, and any depth up to the
interpreter's recursion limit; each of these has broken something downstream.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn, TypeAlias

from gateway.errors import ProtocolError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite_float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _check_tree(root: JsonValue, *, max_depth: int) -> None:
    pending: list[tuple[JsonValue, int]] = [(root, 1)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, str):
            value.encode()  # a lone surrogate could not be sent or spoken later
        elif isinstance(value, (list, dict)):
            if depth > max_depth:
                raise ProtocolError(f"JSON is nested deeper than {max_depth}")
            if isinstance(value, dict):
                pending.extend((key, depth + 1) for key in value)
                pending.extend((item, depth + 1) for item in value.values())
            else:
                pending.extend((item, depth + 1) for item in value)


def loads_object(data: str | bytes, *, max_bytes: int, max_depth: int) -> JsonObject:
    """Decode one JSON object.

    Args:
        data: the text; bytes are taken as UTF-8.
        max_bytes: longest text that is looked at. For `str` the bound is on characters, which is
            never more than on bytes.
        max_depth: deepest nesting of objects and arrays; a flat object has depth 1.

    Raises:
        ProtocolError: for anything that is not one finite, bounded JSON object.
    """
    if len(data) > max_bytes:
        raise ProtocolError(f"JSON is longer than {max_bytes} bytes")
    try:
        value: JsonValue = json.loads(
            data, parse_constant=_reject_constant, parse_float=_finite_float
        )
        _check_tree(value, max_depth=max_depth)
    except RecursionError:
        raise ProtocolError(f"JSON is nested deeper than {max_depth}") from None
    except ValueError:
        # The decoder's own message quotes the input, which may be what somebody said.
        raise ProtocolError("not valid JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("not a JSON object")
    return value


def dumps(value: object) -> str:
    """Encode compactly; non-finite numbers are refused.

    Raises:
        ValueError: for NaN and infinities.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
