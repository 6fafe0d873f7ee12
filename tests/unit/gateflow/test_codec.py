"""What the gateway's messages mean."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins import gateflow
from livekit.plugins.gateflow._codec import realtime, stt
from livekit.plugins.gateflow._codec.audio import WholeSamples, decode_audio
from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage
from livekit.plugins.gatewaykit.errors import ProtocolError


def test_transcripts_as_documented() -> None:
    assert stt.decode({"type": "partial", "text": "Hello, how"}) == stt.Transcript(
        "Hello, how", is_final=False
    )
    assert stt.decode({"type": "final", "text": "x"}) == stt.Transcript("x", is_final=True)
    assert stt.decode({"text": "x"}) == stt.Transcript("x", is_final=True)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "transcription.partial", "text": "a"}, realtime.Heard("a", is_final=False)),
        ({"type": "transcription.final", "text": "a"}, realtime.Heard("a", is_final=True)),
        ({"type": "llm.token", "token": " b"}, realtime.Text(" b")),
        ({"type": "transcript", "text": "One."}, realtime.Text("One.", is_sentence=True)),
        ({"type": "audio.chunk", "data": "AAE="}, realtime.Audio(b"\0\1")),
        ({"type": "audio", "data": "AAE="}, realtime.Audio(b"\0\1")),
        ({"type": "llm.done"}, realtime.TextDone()),
        ({"type": "done"}, realtime.Done()),
        ({"type": "later.invention"}, UnknownMessage()),
    ],
)
def test_events_of_pipelines_and_socket(event: dict[str, object], expected: object) -> None:
    assert realtime.decode(event) == expected


@pytest.mark.parametrize(
    ("members", "retryable"),
    [
        ({"recoverable": True}, True),
        ({"recoverable": False}, False),
        ({}, False),
        ({"code": "overloaded"}, True),
        ({"code": "invalid_api_key"}, False),
        ({"status": 503}, True),
    ],
)
def test_errors_carry_their_verdict(members: dict[str, object], retryable: bool) -> None:
    event: dict[str, object] = {"type": "error", "message": "my number is 4711", **members}
    for decode in (stt.decode, realtime.decode):
        message = decode(event)
        assert isinstance(message, ErrorMessage)
        error = message.to_error()
        assert error.retryable is retryable
        assert "4711" not in str(error)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "partial"},
        {"type": "final", "text": ["a"]},
        {"type": "llm.token", "token": 7},
        {"type": "transcript", "text": None},
        {"type": "audio", "data": "c29tZSBhdWRpbw=?"},
        {"type": "audio", "data": "AAE"},
        {"type": "audio.chunk"},
        {"type": 7},
    ],
)
def test_wrong_types_are_refused(event: dict[str, object]) -> None:
    decode = stt.decode if event.get("type") in ("partial", "final") else realtime.decode
    with pytest.raises(ProtocolError):
        decode(event)


@given(st.binary(max_size=64))
def test_audio_there_and_back(data: bytes) -> None:
    assert decode_audio({"data": base64.b64encode(data).decode()}, "data") == data
    sent = json.loads(realtime.encode_input(data))
    assert sent == {"type": "audio", "data": base64.b64encode(data).decode()}


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_samples_stay_whole(chunks: list[bytes]) -> None:
    samples = WholeSamples()
    pieces = [samples.push(chunk) for chunk in chunks]
    data = b"".join(chunks)
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == data[: len(data) // 2 * 2]


def test_the_configuration_has_what_is_documented_and_no_more() -> None:
    sent = realtime.encode_config(template="voice-agent-fast", context="Be brief.", options={})
    assert json.loads(sent) == {
        "type": "config",
        "template": "voice-agent-fast",
        "context": "Be brief.",
    }
    body = realtime.pipeline_request(template="t", recording=b"RIFF", options={})
    assert set(body) == {"template", "audio", "stream"}


def test_capabilities_are_told_truly() -> None:
    plain = gateflow.STT(api_key="k").capabilities
    assert (plain.streaming, plain.interim_results, plain.keyterms) == (False, False, False)
    assert not plain.aligned_transcript
    spoken = gateflow.TTS(api_key="k").capabilities
    assert (spoken.streaming, spoken.aligned_transcript) == (True, False)


@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize(
    ("config", "field"),
    [
        (gateflow.STTTimeouts, "segment_s"),
        (gateflow.TTSTimeouts, "first_audio_s"),
        (gateflow.RealtimeTimeouts, "quiet_s"),
    ],
)
def test_a_limit_must_be_positive(config: type, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        config(**{field: value})


def test_a_missing_key_says_where_it_comes_from() -> None:
    for make in (gateflow.STT, gateflow.LLM, gateflow.TTS, gateflow.RealtimeModel):
        with pytest.raises(ValueError, match="GATEFLOW_API_KEY"):
            make()
