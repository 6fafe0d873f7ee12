"""AIgateway's two speech sockets: what clients send and what the server answers.

Speech to text takes binary s16le mono 16 kHz, or what the query says, Deepgram's control messages
and query options.
Strict answers are exactly `{"is_final": …, "transcript": …}`; extended ones have Deepgram's
`Results` shape. Text to speech takes `{"text": …}` and answers with binary s16le mono 24 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.config import STT_SAMPLE_RATE_HZ, Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import AudioFormat
from gateway.wire.strict_json import JsonObject, dumps, loads_object

_MAX_ENDPOINTING_MS = 10_000
"""Bound on the silence a client may ask for; beyond it, nobody is waiting for an answer any
more."""


class SttControl(Enum):
    """Deepgram's control messages, by the value of their `type`."""

    KEEP_ALIVE = "KeepAlive"
    FINALIZE = "Finalize"
    CLOSE_STREAM = "CloseStream"


@dataclass(frozen=True, kw_only=True)
class SttOptions:
    """Options in the query of the speech-to-text socket."""

    model: str
    interim_results: bool = True
    """AIgateway sends partials unless told otherwise, unlike Deepgram."""
    endpointing_ms: int | None = None
    """Silence that ends an utterance: None is the server's default, 0 switches endpointing off."""
    vad_events: bool = False
    """Send `SpeechStarted` (extended form only)."""
    audio: AudioFormat = field(default_factory=AudioFormat)


@dataclass(frozen=True, kw_only=True)
class Word:
    """One recognised word; times are seconds since the start of the stream."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was recognised in a stretch of audio; times are seconds since the stream's start."""

    text: str
    is_final: bool
    speech_final: bool = False
    """The speaker was found to have paused (as opposed to a final that was asked for or forced)."""
    from_finalize: bool = False
    start_s: float = 0.0
    duration_s: float = 0.0
    confidence: float = 0.0
    words: tuple[Word, ...] = ()


def _flag(query: Mapping[str, str], name: str, default: bool) -> bool:
    value = query.get(name, "").lower()
    if value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    if not value:
        return default
    raise ProtocolError(f"{name} must be true or false")


def _endpointing_ms(query: Mapping[str, str]) -> int | None:
    value = query.get("endpointing", "").lower()
    if value in ("", "true"):
        return None
    if value == "false":
        return 0
    # isdecimal alone accepts other scripts' digits and any length
    if value.isascii() and value.isdecimal() and len(value) <= 6:
        milliseconds = int(value)
        if milliseconds <= _MAX_ENDPOINTING_MS:
            return milliseconds
    raise ProtocolError(
        f"endpointing must be false or a whole number of ms up to {_MAX_ENDPOINTING_MS}"
    )


def decode_rate(query: Mapping[str, str], *, default: int) -> int:
    """Read `sample_rate`.

    Raises:
        ProtocolError: if it is not a whole number.
    """
    value = query.get("sample_rate", str(default))
    if not (value.isascii() and value.isdecimal() and len(value) <= 6):
        raise ProtocolError("sample_rate must be a whole number of Hz")
    return int(value)


def decode_stt_query(query: Mapping[str, str]) -> SttOptions:
    """Read the options of a speech-to-text handshake; options not known here are ignored.

    Raises:
        ProtocolError: for a missing model, a malformed option, or audio in a form that is not read
            here: transcribing it anyway would give nonsense.
    """
    model = query.get("model", "")
    if not model:
        raise ProtocolError("the query parameter 'model' is missing")
    encoding = query.get("encoding", "linear16")
    if encoding not in ("linear16", "opus"):
        raise ProtocolError("encoding must be linear16 or opus")
    if query.get("channels", "1") != "1":
        raise ProtocolError("channels must be 1")
    return SttOptions(
        model=model,
        interim_results=_flag(query, "interim_results", True),
        endpointing_ms=_endpointing_ms(query),
        vad_events=_flag(query, "vad_events", False),
        audio=AudioFormat(
            encoding=encoding, rate_hz=decode_rate(query, default=STT_SAMPLE_RATE_HZ)
        ),
    )


def decode_stt_text(text: str, *, limits: Limits) -> SttControl | None:
    """Read a text frame on the speech-to-text socket; None means: ignore it.

    Raises:
        ProtocolError: for anything that is not a bounded JSON object.
    """
    message = loads_object(
        text, max_bytes=limits.max_text_frame_bytes, max_depth=limits.max_json_depth
    )
    try:
        return SttControl(message.get("type"))
    except ValueError:
        return None


def encode_transcript(transcript: Transcript, *, extended: bool, request_id: str) -> str:
    """Encode a partial or final, in the strict (documented) or extended (Deepgram's) form."""
    if not extended:
        return dumps({"is_final": transcript.is_final, "transcript": transcript.text})
    words = [
        {
            "word": word.text.strip(".,?!;:").lower(),
            "punctuated_word": word.text,
            "start": round(word.start_s, 3),
            "end": round(word.end_s, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in transcript.words
    ]
    alternative = {
        "transcript": transcript.text,
        "confidence": round(transcript.confidence, 4),
        "words": words,
    }
    return dumps(
        {
            "type": "Results",
            "channel_index": [0, 1],
            "start": round(transcript.start_s, 3),
            "duration": round(transcript.duration_s, 3),
            "is_final": transcript.is_final,
            "speech_final": transcript.speech_final,
            "from_finalize": transcript.from_finalize,
            "channel": {"alternatives": [alternative]},
            "metadata": {"request_id": request_id},
        }
    )


def encode_speech_started(at_s: float) -> str:
    """Encode Deepgram's `SpeechStarted` (extended form, when asked for)."""
    return dumps({"type": "SpeechStarted", "channel": [0], "timestamp": round(at_s, 3)})


def encode_stt_metadata(*, request_id: str, duration_s: float) -> str:
    """Encode Deepgram's last message before it closes (extended form)."""
    return dumps(
        {
            "type": "Metadata",
            "request_id": request_id,
            "duration": round(duration_s, 3),
            "channels": 1,
        }
    )


def decode_tts_query(query: Mapping[str, str]) -> tuple[str, str]:
    """Read `model` and `voice` of a text-to-speech handshake; an absent voice is the empty string.

    Raises:
        ProtocolError: for a missing model.
    """
    model = query.get("model", "")
    if not model:
        raise ProtocolError("the query parameter 'model' is missing")
    return model, query.get("voice", "")


def decode_tts_text(text: str, *, limits: Limits) -> str:
    """Read a text frame on the text-to-speech socket: what to speak; empty is the end of input.

    Raises:
        ProtocolError: for anything but a bounded JSON object with a `text` of allowed length.
    """
    message: JsonObject = loads_object(
        text, max_bytes=limits.max_text_frame_bytes, max_depth=limits.max_json_depth
    )
    spoken = message.get("text")
    if not isinstance(spoken, str):
        raise ProtocolError("'text' must be a string")
    if len(spoken) > limits.max_tts_text_chars:
        raise ProtocolError(f"'text' is longer than {limits.max_tts_text_chars} characters")
    return spoken


def encode_tts_done() -> str:
    """Encode the end of the audio of one text (extended form)."""
    return dumps({"type": "done"})


def encode_error(message: str, *, code: str) -> str:
    """Encode an error on a socket (extended form; the strict one only closes)."""
    return dumps({"type": "error", "message": message, "code": code, "recoverable": False})
