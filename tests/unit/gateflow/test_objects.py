"""JSON objects come out of a stream whole, however it was written and cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.plugins.gateflow._codec.objects import ObjectStream
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.limits import Limits

LIMITS = Limits(json_bytes=4096, json_depth=16)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)
SEPARATORS = st.sampled_from(["", " ", "\n", "\r\n", "\n\n", ",", ", "])
STYLES: list[dict[str, Any]] = [
    {},
    {"ensure_ascii": False},
    {"indent": 2},
    {"separators": (",", ":"), "ensure_ascii": False},
]
GARBAGE = st.sampled_from(
    [
        "<html>502</html>",
        '{"type": "partial", "text": tru\0 <<not json>>',
        '{"type": "partial", "text": "half a',
        "]]]",
        "nonsense",
        '{"a": NaN}',
    ]
)


def read(data: bytes, cuts: list[int]) -> list[dict[str, object] | ProtocolError]:
    stream = ObjectStream(LIMITS)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    items = [item for start, end in pairwise(edges) for item in stream.push(data[start:end])]
    return items + stream.end()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(OBJECTS, st.sampled_from(STYLES), SEPARATORS), max_size=5),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_glued_and_split_objects_come_out_as_they_went_in(
    written: list[tuple[dict[str, Any], dict[str, Any], str]], cuts: list[int]
) -> None:
    text = "".join(json.dumps(obj, **style) + separator for obj, style, separator in written)
    assert read(text.encode(), cuts) == [obj for obj, _, _ in written]


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECTS, max_size=4), st.lists(st.integers(0, 2000), max_size=12))
def test_server_sent_events(objects: list[dict[str, Any]], cuts: list[int]) -> None:
    text = ": hello\n\n" + "".join(
        f"event: message\ndata: {json.dumps(obj)}\n\n" for obj in objects
    )
    assert read((text + "data: [DONE]\n\n").encode(), cuts) == objects


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(OBJECTS, st.booleans()), min_size=1, max_size=5),
    GARBAGE,
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_a_bad_line_costs_that_line_only(
    written: list[tuple[dict[str, Any], bool]], garbage: str, cuts: list[int]
) -> None:
    lines = [
        line
        for obj, is_spoilt in written
        for line in ([garbage, json.dumps(obj)] if is_spoilt else [json.dumps(obj)])
    ]
    items = read(("\n".join(lines) + "\n").encode(), cuts)
    assert [item for item in items if isinstance(item, dict)] == [obj for obj, _ in written]
    errors = [item for item in items if isinstance(item, ProtocolError)]
    assert len(errors) == sum(is_spoilt for _, is_spoilt in written)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text('{}[]",:\\\n\rdata ').map(str.encode))
def test_anything_at_all_is_read_or_refused_and_nothing_else(data: bytes) -> None:
    for item in read(data, []):
        assert isinstance(item, dict | ProtocolError)


def test_how_it_was_cut_never_matters() -> None:
    data = '{"a": "\\"}{é"}{"b": {"c": [1, {"d": "\\\\"}]}}\n{"e": 1}'.encode()
    whole = read(data, [])
    assert whole == [{"a": '"}{é'}, {"b": {"c": [1, {"d": "\\"}]}}, {"e": 1}]
    assert read(data, list(range(len(data)))) == whole
    for cut in range(len(data)):
        assert read(data, [cut]) == whole


@pytest.mark.parametrize("hostile", ['{"a": "' + "x" * 5000, '{"a":' * 2000, "[" * 100_000])
def test_what_is_too_large_ends_the_stream(hostile: str) -> None:
    with pytest.raises(ProtocolError):
        ObjectStream(LIMITS).push(hostile.encode())


def test_half_an_object_at_the_end_is_an_error() -> None:
    items = read(b'{"type":"final","text":"hel', [])
    assert len(items) == 1
    assert isinstance(items[0], ProtocolError)
    assert "hel" not in str(items[0]).replace("the ", "")


def test_deep_nesting_inside_a_small_object_is_refused() -> None:
    items = read(('{"a":' + "[" * 20 + "]" * 20 + '}\n{"b":1}').encode(), [])
    assert isinstance(items[0], ProtocolError)
    assert items[1] == {"b": 1}
