from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.wire.strict_json import dumps, loads_object


def _load(data: str | bytes) -> object:
    return loads_object(data, max_bytes=1_000, max_depth=4)


def test_takes_text_and_bytes() -> None:
    assert _load('{"a": [1, 2.5, null, true, "ü"]}') == {"a": [1, 2.5, None, True, "ü"]}
    assert _load('{"a": "ü"}'.encode()) == {"a": "ü"}


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "[]",
        "null",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": [[[[1]]]]}',
        '{"a":' * 300,
        '{"a": 1} {"b": 2}',
        '{"a": "' + "x" * 1_000 + '"}',
        b'{"a": "\xff"}',
        b"\x00\x01",
    ],
)
def test_refuses(hostile: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        _load(hostile)


def test_refuses_numbers_too_long_to_convert() -> None:
    with pytest.raises(ProtocolError):
        loads_object('{"a": ' + "9" * 5_000 + "}", max_bytes=10_000, max_depth=4)


def test_refuses_nesting_beyond_the_interpreters_stack() -> None:
    with pytest.raises(ProtocolError):
        loads_object('{"a":' + "[" * 100_000, max_bytes=1_000_000, max_depth=4)


def test_error_does_not_quote_the_input() -> None:
    with pytest.raises(ProtocolError) as caught:
        _load('{"text": "my secret words"')
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_accepts_or_refuses_and_nothing_else(data: str | bytes) -> None:
    try:
        value = _load(data)
    except ProtocolError:
        return
    assert isinstance(value, dict)


def test_never_writes_what_it_would_refuse() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"a": float("nan")})
