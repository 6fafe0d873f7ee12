"""Whatever a peer sends is accepted or a ProtocolError: nothing else, and in bounded time."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins.aigateway._codec import stt, tts
from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.json import loads_object
from livekit.plugins.gatewaykit.limits import Limits

LIMITS = Limits()

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    "type is_final isFinal speech_final transcript start duration words channel error code status "
    "recoverable message metadata request_id confidence language".split()
)
PLAUSIBLE = st.dictionaries(
    KEYS,
    ANY_JSON
    | st.sampled_from(["Results", "SpeechStarted", "UtteranceEnd", "Metadata", "error", "done"])
    | st.fixed_dictionaries({"alternatives": st.lists(st.dictionaries(KEYS, ANY_JSON))}),
)
MESSAGES = st.text() | ANY_JSON.map(json.dumps) | PLAUSIBLE.map(json.dumps)


@given(MESSAGES)
def test_stt_decoder_accepts_or_refuses(message: str) -> None:
    try:
        decoded = stt.decode(message, LIMITS)
    except ProtocolError:
        return
    if isinstance(decoded, stt.Transcript):
        assert decoded.end_s is None or math.isfinite(decoded.end_s)
        decoded.text.encode()


@given(MESSAGES)
def test_tts_decoder_accepts_or_refuses(message: str) -> None:
    try:
        decoded = tts.decode(message, LIMITS)
    except ProtocolError:
        return
    assert isinstance(decoded, (tts.TextDone, tts.StreamDone, ErrorMessage, UnknownMessage))


@given(MESSAGES)
def test_batch_decoder_accepts_or_refuses(message: str) -> None:
    try:
        stt.decode_batch(message, LIMITS).encode()
    except ProtocolError:
        return


@given(MESSAGES)
def test_errors_are_made_of_any_envelope_without_its_prose(message: str) -> None:
    try:
        decoded = stt.decode(message, LIMITS)
    except ProtocolError:
        return
    if isinstance(decoded, ErrorMessage):
        assert len(str(decoded.to_error())) < 200


HOSTILE = {
    "constant": '{"confidence": NaN, "is_final": true, "transcript": "x"}',
    "infinity": '{"a": Infinity}',
    "overflow": '{"a": 1e999}',
    "deep list": "[" * 50_000,
    "deep object": '{"a":' * 10_000,
    "deep and closed": '{"a":' + "[" * 100 + "]" * 100 + "}",
    "huge integer": '{"a": ' + "9" * 5000 + "}",
    "too large": json.dumps({"transcript": "x" * 70_000, "is_final": True}),
    "too large in bytes": json.dumps({"transcript": "é" * 40_000}, ensure_ascii=False),
    "surrogate": '{"is_final": true, "transcript": "\\ud800"}',
    "list": "[]",
    "number": "1",
    "empty": "",
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_messages_are_refused_quickly(message: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ProtocolError) as failure:
        stt.decode(message, LIMITS)
    assert time.perf_counter() - started < 0.5
    assert "xxx" not in str(failure.value)


def test_brackets_in_text_are_no_depth() -> None:
    message = json.dumps({"is_final": True, "transcript": '[[{"\\' * 50})
    assert isinstance(stt.decode(message, LIMITS), stt.Transcript)


def test_the_documented_form() -> None:
    assert stt.decode('{"is_final": false, "transcript": " hi "}', LIMITS) == stt.Transcript(
        text="hi", is_final=False, speech_final=None
    )


def deepgram(**changes: Any) -> str:
    word = {"word": "hi", "punctuated_word": "Hi.", "start": 0.1, "end": 0.4, "confidence": 0.9}
    alternative = {"transcript": "Hi.", "confidence": 0.8, "words": [word]}
    body = {
        "type": "Results",
        "is_final": True,
        "speech_final": True,
        "start": 0.0,
        "duration": 0.5,
        "channel": {"alternatives": [alternative]},
        "metadata": {"request_id": "r1"},
    }
    return json.dumps(body | changes)


def test_deepgrams_form() -> None:
    decoded = stt.decode(deepgram(), LIMITS)
    assert isinstance(decoded, stt.Transcript)
    assert (decoded.text, decoded.speech_final, decoded.end_s) == ("Hi.", True, 0.5)
    assert decoded.words == (stt.Word("Hi.", 0.1, 0.4, 0.9),)
    assert decoded.request_id == "r1"


@pytest.mark.parametrize(
    "changes",
    [
        {"channel": None},
        {"channel": {"alternatives": []}},
        {"channel": {"alternatives": ["x"]}},
        {"channel": {"alternatives": [{"transcript": 1}]}},
        {"channel": {"alternatives": [{"transcript": "x", "words": [{"word": "x"}]}]}},
        {"channel": {"alternatives": [{"transcript": "x", "words": {}}]}},
        {"is_final": 1},
        {"start": "0"},
        {"start": -1},
        {"duration": 1e12},
        {"metadata": []},
    ],
)
def test_deepgrams_form_with_wrong_types_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        stt.decode(deepgram(**changes), LIMITS)


def test_unknown_messages_are_ignored() -> None:
    assert stt.decode('{"type": "New", "x": 1}', LIMITS) == UnknownMessage()
    assert tts.decode('{"type": "New", "isFinal": false}', LIMITS) == UnknownMessage()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"type": "flushed"}', tts.TextDone()),
        ('{"type": "Flushed"}', tts.TextDone()),
        ('{"type": "done"}', tts.StreamDone()),
        ('{"isFinal": true}', tts.StreamDone()),
        ('{"is_final": true}', tts.StreamDone()),
    ],
)
def test_end_markers(message: str, expected: object) -> None:
    assert tts.decode(message, LIMITS) == expected


@pytest.mark.parametrize(
    ("message", "status", "retryable"),
    [
        ('{"error": {"code": "invalid_api_key"}}', 401, False),
        ('{"error": {"type": "rate_limit_exceeded"}}', 429, True),
        ('{"error": "broken"}', None, True),
        ('{"type": "error", "code": 503}', 503, True),
        ('{"type": "error", "code": "404"}', 404, False),
        ('{"type": "error", "message": "x", "recoverable": false}', None, False),
        ('{"type": "error", "status": 500, "recoverable": false}', 500, False),
        ('{"type": "Error", "recoverable": true}', None, True),
    ],
)
def test_error_envelopes(message: str, status: int | None, retryable: bool) -> None:
    decoded = stt.decode(message, LIMITS)
    assert isinstance(decoded, ErrorMessage)
    error: Any = decoded.to_error()
    assert getattr(error, "status_code", None) == status
    assert error.retryable is retryable


def test_text_is_encoded_as_documented() -> None:
    assert json.loads(tts.encode_text('say "hi"')) == {"text": 'say "hi"'}
    assert json.loads(tts.END_OF_INPUT) == {"text": ""}


def test_an_object_at_the_limit_is_accepted() -> None:
    body = '{"a":"' + "x" * (LIMITS.json_bytes - 8) + '"}'
    assert len(body) == LIMITS.json_bytes
    assert loads_object(body, LIMITS)
