from __future__ import annotations

import json

import pytest

from gateway.config import Limits
from gateway.errors import ProtocolError
from gateway.wire.aigateway import (
    SttControl,
    Transcript,
    Word,
    decode_stt_query,
    decode_stt_text,
    decode_tts_query,
    decode_tts_text,
    encode_transcript,
)

LIMITS = Limits()


def test_query_defaults() -> None:
    options = decode_stt_query({"model": "m"})
    assert options.interim_results
    assert options.endpointing_ms is None
    assert not options.vad_events


@pytest.mark.parametrize(
    ("value", "expected"), [("true", None), ("false", 0), ("0", 0), ("10", 10), ("10000", 10_000)]
)
def test_endpointing(value: str, expected: int | None) -> None:
    assert decode_stt_query({"model": "m", "endpointing": value}).endpointing_ms == expected


def test_unknown_options_are_ignored() -> None:
    query = {"model": "m", "keyterm": "Parley", "smart_format": "true", "language": "en"}
    assert decode_stt_query(query).model == "m"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model": ""},
        {"model": "m", "sample_rate": "96000"},
        {"model": "m", "encoding": "flac"},
        {"model": "m", "encoding": "opus", "sample_rate": "44100"},
        {"model": "m", "channels": "2"},
        {"model": "m", "interim_results": "maybe"},
        {"model": "m", "endpointing": "-1"},
        {"model": "m", "endpointing": "10001"},
        {"model": "m", "endpointing": "1e3"},
        {"model": "m", "endpointing": "١٠"},
    ],
)
def test_wrong_queries(wrong: dict[str, str]) -> None:
    with pytest.raises(ProtocolError):
        decode_stt_query(wrong)


def test_controls() -> None:
    for control in SttControl:
        text = json.dumps({"type": control.value})
        assert decode_stt_text(text, limits=LIMITS) is control


@pytest.mark.parametrize("text", ['{"type": "Configure"}', '{"type": 3}', '{"type": []}', "{}"])
def test_unknown_text_is_ignored(text: str) -> None:
    assert decode_stt_text(text, limits=LIMITS) is None


def test_hostile_text_is_refused() -> None:
    for text in ("Finalize", "[1]", '{"type": NaN}', "x" * (LIMITS.max_text_frame_bytes + 1)):
        with pytest.raises(ProtocolError):
            decode_stt_text(text, limits=LIMITS)


def test_strict_transcript_has_exactly_what_is_documented() -> None:
    transcript = Transcript(text="hi “there”", is_final=True, speech_final=True, confidence=0.5)
    text = encode_transcript(transcript, extended=False, request_id="r")
    assert text == '{"is_final":true,"transcript":"hi “there”"}'


def test_extended_transcript_has_deepgrams_shape() -> None:
    transcript = Transcript(
        text="Hi, Anna.",
        is_final=True,
        from_finalize=True,
        start_s=1.23456,
        duration_s=0.5,
        confidence=0.987654,
        words=(
            Word(text="Hi,", start_s=1.2, end_s=1.4, confidence=0.9),
            Word(text="Anna.", start_s=1.4, end_s=1.7, confidence=0.8),
        ),
    )
    message = json.loads(encode_transcript(transcript, extended=True, request_id="r-1"))
    assert message["type"] == "Results"
    assert (message["start"], message["duration"]) == (1.235, 0.5)
    assert (message["is_final"], message["speech_final"]) == (True, False)
    assert message["from_finalize"]
    assert message["metadata"]["request_id"] == "r-1"
    alternative = message["channel"]["alternatives"][0]
    assert alternative["transcript"] == "Hi, Anna."
    assert alternative["words"][0] == {
        "word": "hi",
        "punctuated_word": "Hi,",
        "start": 1.2,
        "end": 1.4,
        "confidence": 0.9,
    }


def test_tts_query() -> None:
    assert decode_tts_query({"model": "m"}) == ("m", "")
    assert decode_tts_query({"model": "m", "voice": "rachel"}) == ("m", "rachel")
    with pytest.raises(ProtocolError):
        decode_tts_query({"voice": "rachel"})


def test_tts_text() -> None:
    assert decode_tts_text('{"text": "Hello."}', limits=LIMITS) == "Hello."
    assert decode_tts_text('{"text": ""}', limits=LIMITS) == ""


@pytest.mark.parametrize("text", ["{}", '{"text": 1}', '{"text": null}', '"Hello"', "Hello"])
def test_wrong_tts_text(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_tts_text(text, limits=LIMITS)


def test_tts_text_is_bounded() -> None:
    with pytest.raises(ProtocolError, match="5000 characters"):
        decode_tts_text(json.dumps({"text": "x" * 5_001}), limits=LIMITS)
