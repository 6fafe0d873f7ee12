"""GateFlow: streamed transcription, speech, pipelines and the realtime socket.

Its documentation shows one JSON object a line for HTTP and one a message on the socket. It names no
rate for the audio of the socket; this gateway takes and sends s16le mono 24 kHz, the only rate that
the documentation mentions. Extended answers on the socket have the events of the pipeline as well.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.config import TTS_SAMPLE_RATE_HZ, Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import SPOKEN, AudioFormat
from gateway.wire.livekit_inference import decode_base64
from gateway.wire.strict_json import JsonObject, dumps, loads_object

REALTIME_AUDIO = AudioFormat(rate_hz=TTS_SAMPLE_RATE_HZ)
"""Both ways on the realtime socket."""

TEMPLATE = "voice-agent-fast"
"""The template of the documentation, and the only one here."""

_MAX_SILENCE_MS = 10_000
_MAX_CONTEXT_CHARS = 20_000


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A text to be spoken over HTTP."""

    model: str
    text: str
    voice: str
    format: AudioFormat


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """Who hears, thinks and speaks, and how; empty names stand for the template's."""

    stt: str = ""
    llm: str = ""
    tts: str = ""
    voice: str = ""
    max_tokens: int | None = None
    silence_ms: int | None = None
    context: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineRequest:
    """A recording to be answered."""

    options: PipelineOptions
    recording: bytes = field(repr=False)


RealtimeInput: TypeAlias = "PipelineOptions | bytes | None"
"""A configuration, audio, or nothing of interest."""


def decode_speech(body: bytes, *, limits: Limits) -> SpeechRequest:
    """Read a `POST /v1/audio/speech`, GateFlow's and OpenAI's.

    Raises:
        ProtocolError: if there is no text, or audio is asked for that is not sent here.
    """
    message = _load(body, max_bytes=limits.max_chat_body_bytes, limits=limits)
    text = _text(message, "input")
    if not text.strip():
        raise ProtocolError("'input' must be a text that is not blank")
    if len(text) > limits.max_tts_text_chars:
        raise ProtocolError(f"'input' is longer than {limits.max_tts_text_chars} characters")
    wanted = _text(message, "response_format") or "mp3"
    if wanted not in ("pcm", "mp3"):
        raise ProtocolError("'response_format' must be pcm or mp3")
    encoding = "linear16" if wanted == "pcm" else "mp3"
    return SpeechRequest(
        model=_text(message, "model"),
        text=text,
        voice=_text(message, "voice"),
        format=AudioFormat(encoding=encoding, rate_hz=SPOKEN.rate_hz),
    )


def decode_pipeline(body: bytes, *, limits: Limits) -> PipelineRequest:
    """Read a `POST /v1/audio/pipelines`.

    Raises:
        ProtocolError: if it is not one, or names a template that does not exist here.
    """
    message = _load(body, max_bytes=limits.max_upload_bytes, limits=limits)
    recording = decode_base64(message.get("audio"))
    return PipelineRequest(options=_options(message), recording=recording)


def decode_realtime(text: str, *, limits: Limits) -> RealtimeInput:
    """Read a message on the realtime socket.

    Raises:
        ProtocolError: if it is not one of this dialect.
    """
    message = _load(text, max_bytes=limits.max_audio_frame_bytes, limits=limits)
    match message.get("type"):
        case "config":
            return _options(message)
        case "audio":
            return decode_base64(message.get("data"))
    return None


def _load(data: str | bytes, *, max_bytes: int, limits: Limits) -> JsonObject:
    return loads_object(data, max_bytes=max_bytes, max_depth=limits.max_json_depth)


def _text(message: JsonObject, name: str) -> str:
    value = message.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"'{name}' must be a string")
    return value


def _member(message: JsonObject, name: str) -> JsonObject:
    value = message.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"'{name}' must be an object")
    return value


def _whole(message: JsonObject, name: str, *, most: int) -> int | None:
    value = message.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ProtocolError(f"'{name}' must be a whole number from 1 to {most}")
    return value


def _options(message: JsonObject) -> PipelineOptions:
    template = _text(message, "template") or TEMPLATE
    if template != TEMPLATE:
        raise ProtocolError(f"there is no such template here, only {TEMPLATE}")
    context = _text(message, "context")
    if len(context) > _MAX_CONTEXT_CHARS:
        raise ProtocolError(f"'context' is longer than {_MAX_CONTEXT_CHARS} characters")
    llm, tts, vad = _member(message, "llm"), _member(message, "tts"), _member(message, "vad")
    return PipelineOptions(
        stt=_text(_member(message, "stt"), "model"),
        llm=_text(llm, "model"),
        tts=_text(tts, "model"),
        voice=_text(tts, "voice"),
        max_tokens=_whole(llm, "max_tokens", most=100_000),
        silence_ms=_whole(vad, "silence_threshold_ms", most=_MAX_SILENCE_MS),
        context=context,
    )


def encode_transcription(text: str, *, is_final: bool) -> str:
    """A line of a streamed transcription: the whole text so far."""
    return dumps({"type": "final" if is_final else "partial", "text": text})


def encode_heard(text: str, *, is_final: bool) -> str:
    """What the speaker said, as a pipeline tells it."""
    kind = "final" if is_final else "partial"
    return dumps({"type": f"transcription.{kind}", "text": text})


def encode_token(token: str) -> str:
    """Some more of the answer's text (pipeline)."""
    return dumps({"type": "llm.token", "token": token})


def encode_llm_done() -> str:
    """The answer's text is complete (pipeline)."""
    return dumps({"type": "llm.done"})


def encode_chunk(data: bytes) -> str:
    """Some audio (pipeline)."""
    return dumps({"type": "audio.chunk", "data": base64.b64encode(data).decode()})


def encode_done() -> str:
    """The answer is complete (pipeline; on the socket only in the extended form)."""
    return dumps({"type": "done"})


def encode_audio(data: bytes) -> str:
    """Some audio (socket)."""
    return dumps({"type": "audio", "data": base64.b64encode(data).decode()})


def encode_said(text: str) -> str:
    """What the assistant says (socket)."""
    return dumps({"type": "transcript", "text": text})


def encode_error(message: str, *, recoverable: bool) -> str:
    """An error, anywhere."""
    return dumps({"type": "error", "message": message, "recoverable": recoverable})
