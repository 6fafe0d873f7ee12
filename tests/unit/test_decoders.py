"""Every decoder, ours and the local gateway's: input is taken or refused by name, nothing else."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.plugins.gateflow._codec import audio as gateflow_audio
from livekit.plugins.gateflow._codec import errors as gateflow_errors
from livekit.plugins.gateflow._codec import realtime as gateflow_realtime
from livekit.plugins.gateflow._codec import stt as gateflow_stt
from livekit.plugins.gatewaykit import envelope
from livekit.plugins.gatewaykit import json as kit_json
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.limits import Limits

from gateway import config
from gateway.errors import ProtocolError as Refused
from gateway.faults.plan import parse_script
from gateway.wire import aigateway, deepgram, elevenlabs, gateflow, livekit_inference

KIT = Limits(json_bytes=4096, json_depth=8)
GATEWAY = config.Limits()
BOUNDED = settings(max_examples=60, deadline=timedelta(seconds=5))
"""The time is for a machine that does much else; no decoder needs a hundredth of it."""

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(
    "type text data audio error code status status_code recoverable message token model input "
    "voice stream response_format template stt llm tts vad enabled silence_threshold_ms context "
    "seed faults stage do at limit probability connection model_id output_format language".split()
)
WORDS = st.sampled_from(
    "error partial final transcript audio config llm.token audio.chunk done pcm mp3 wav AAE= "
    "voice-agent-fast stt tts reset pcm_24000 mp3_44100_128 16000 linear16 true".split()
)
OBJECTS = st.dictionaries(NAMES, WORDS | VALUES, max_size=6)
TEXTS = st.text(max_size=300) | VALUES.map(json.dumps) | OBJECTS.map(json.dumps)
QUERIES = st.dictionaries(
    st.sampled_from(
        "model language encoding sample_rate channels container output_format endpointing "
        "interim_results keyterm voice".split()
    ),
    WORDS | st.text(max_size=12),
)

OF_TEXTS: dict[str, Callable[[str], Any]] = {
    "kit json": partial(kit_json.loads_object, limits=KIT),
    "gateway aigateway stt": partial(aigateway.decode_stt_text, limits=GATEWAY),
    "gateway aigateway tts": partial(aigateway.decode_tts_text, limits=GATEWAY),
    "gateway gateflow realtime": partial(gateflow.decode_realtime, limits=GATEWAY),
    "gateway gateflow speech": lambda t: gateflow.decode_speech(_utf8(t), limits=GATEWAY),
    "gateway gateflow pipeline": lambda t: gateflow.decode_pipeline(_utf8(t), limits=GATEWAY),
    "gateway deepgram speak": lambda t: deepgram.decode_speak_body(_utf8(t), limits=GATEWAY),
    "gateway elevenlabs": lambda t: elevenlabs.decode_stream_body(_utf8(t), limits=GATEWAY),
    "gateway fault script": lambda t: parse_script(_utf8(t)),
}
OF_OBJECTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "kit text": lambda obj: kit_json.required_str(obj, "text"),
    "kit envelope": envelope.decode_error,
    "gateflow stt": gateflow_stt.decode,
    "gateflow realtime": gateflow_realtime.decode,
    "gateflow errors": gateflow_errors.decode_error,
    "gateflow audio": lambda obj: gateflow_audio.decode_audio(obj, "data"),
    "gateway livekit inference": lambda obj: livekit_inference.decode_base64(obj.get("data")),
}
OF_QUERIES: dict[str, Callable[[dict[str, str]], Any]] = {
    "gateway aigateway stt": aigateway.decode_stt_query,
    "gateway aigateway tts": aigateway.decode_tts_query,
    "gateway deepgram listen": deepgram.decode_listen_query,
    "gateway deepgram speak": deepgram.decode_speak_query,
    "gateway elevenlabs": elevenlabs.decode_output_format,
}


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def take_or_refuse(decode: Callable[[Any], Any], value: object) -> None:
    try:
        decode(value)
    except (ProtocolError, Refused) as refusal:
        # what was refused may be what somebody said
        assert len(str(refusal)) < 400  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("decode", OF_TEXTS.values(), ids=OF_TEXTS.keys())
@BOUNDED
@given(text=TEXTS)
def test_texts(decode: Callable[[str], Any], text: str) -> None:
    take_or_refuse(decode, text)


@pytest.mark.parametrize("decode", OF_OBJECTS.values(), ids=OF_OBJECTS.keys())
@BOUNDED
@given(obj=OBJECTS)
def test_objects(decode: Callable[[dict[str, Any]], Any], obj: dict[str, Any]) -> None:
    take_or_refuse(decode, obj)


@pytest.mark.parametrize("decode", OF_QUERIES.values(), ids=OF_QUERIES.keys())
@BOUNDED
@given(query=QUERIES)
def test_queries(decode: Callable[[dict[str, str]], Any], query: dict[str, str]) -> None:
    take_or_refuse(decode, query)


MOST_MEMORY = 1024 * 1024
"""Beside the text itself, which some of these decoders are given as bytes."""
MOST_S = 2.0
"""Of the processor, which tells of no other process; the largest takes a tenth, watched."""

HOSTILE = {
    "nan": '{"type": "audio", "at": NaN}',
    "infinity": '{"type": "audio", "at": 1e999}',
    "deep": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
    "long number": '{"a": ' + "9" * 50_000 + "}",
    "huge": '{"text": "' + "x" * 40_000_000 + '"}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("decode", OF_TEXTS.values(), ids=OF_TEXTS.keys())
def test_hostile_texts_are_refused_with_little_memory_and_time(
    decode: Callable[[str], Any], text: str
) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises((ProtocolError, Refused)):
            decode(text)
        took_s = time.process_time() - began
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most <= 2 * len(text) + MOST_MEMORY
    assert took_s <= MOST_S


def test_text_that_is_no_unicode_is_refused_where_it_is_read() -> None:
    obj = kit_json.loads_object('{"text": "\\udfff"}', KIT)
    with pytest.raises(ProtocolError):
        kit_json.required_str(obj, "text")
