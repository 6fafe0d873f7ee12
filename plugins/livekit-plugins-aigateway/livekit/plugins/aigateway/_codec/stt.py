"""Speech to text: what the server's text messages say.

Documented by the gateway: ``{"is_final": bool, "transcript": str}``. Accepted as well is
Deepgram's own shape (``type: "Results"``), because the endpoint calls itself Deepgram-compatible.
The client sends 16-bit little-endian mono PCM in binary messages; in the ``deepgram`` dialect
also the two texts below.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage, decode_error
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.json import (
    loads_object,
    optional_bool,
    optional_number,
    optional_object,
    optional_str,
    required_bool,
    required_str,
)
from livekit.plugins.gatewaykit.limits import Limits

KEEP_ALIVE = '{"type":"KeepAlive"}'
CLOSE_STREAM = '{"type":"CloseStream"}'

_MAX_SECONDS = 7 * 24 * 3600.0
"""No stream is a week long; a larger time is a broken one."""
_MAX_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it was heard, in seconds of the audio sent on this connection."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the server hears, or has heard."""

    text: str
    is_final: bool
    speech_final: bool | None
    """Whether the utterance ends here; ``None`` on a wire form with one final an utterance."""
    start_s: float | None = None
    duration_s: float | None = None
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    language: str | None = None
    request_id: str | None = None

    @property
    def end_s(self) -> float | None:
        """End of the audio covered, in seconds of the audio sent on this connection."""
        if self.start_s is None or self.duration_s is None:
            return self.words[-1].end_s if self.words else None
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The server hears a voice."""


@dataclass(frozen=True, slots=True)
class UtteranceEnd:
    """The server has heard no word for its utterance-end time."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts about the request."""

    request_id: str | None


STTMessage = Transcript | SpeechStarted | UtteranceEnd | Metadata | ErrorMessage | UnknownMessage


def decode(text: str, limits: Limits) -> STTMessage:
    """Decode one text message.

    Raises:
        ProtocolError: It is not a message of this wire form, or a broken one.
    """
    obj = loads_object(text, limits)
    if (error := decode_error(obj)) is not None:
        return error
    match optional_str(obj, "type"):
        case "Results":
            return _decode_results(obj)
        case "SpeechStarted":
            return SpeechStarted()
        case "UtteranceEnd":
            return UtteranceEnd()
        case "Metadata":
            return Metadata(request_id=optional_str(obj, "request_id"))
    if "transcript" in obj or "is_final" in obj:
        return _decode_plain(obj)
    return UnknownMessage()


def decode_batch(text: str, limits: Limits) -> str:
    """The transcript in the answer to a batch request, ``{"text": str}``.

    Raises:
        ProtocolError: There is none.
    """
    return required_str(loads_object(text, limits), "text")


def _decode_plain(obj: dict[str, object]) -> Transcript:
    return Transcript(
        text=required_str(obj, "transcript").strip(),
        is_final=required_bool(obj, "is_final"),
        speech_final=optional_bool(obj, "speech_final"),
        start_s=optional_number(obj, "start", maximum=_MAX_SECONDS),
        duration_s=optional_number(obj, "duration", maximum=_MAX_SECONDS),
        words=_decode_words(obj),
        confidence=optional_number(obj, "confidence", maximum=1.0),
        language=optional_str(obj, "language"),
        request_id=optional_str(obj, "request_id"),
    )


def _decode_results(obj: dict[str, object]) -> Transcript:
    channel = optional_object(obj, "channel")
    if channel is None:
        raise ProtocolError("channel is missing")
    alternatives = channel.get("alternatives")
    if not isinstance(alternatives, list) or not alternatives:
        raise ProtocolError("alternatives is not a list with an entry")
    best = alternatives[0]
    if not isinstance(best, dict):
        raise ProtocolError("an alternative is not an object")
    metadata = optional_object(obj, "metadata") or {}
    return Transcript(
        text=required_str(best, "transcript").strip(),
        is_final=required_bool(obj, "is_final"),
        speech_final=optional_bool(obj, "speech_final") or False,
        start_s=optional_number(obj, "start", maximum=_MAX_SECONDS),
        duration_s=optional_number(obj, "duration", maximum=_MAX_SECONDS),
        words=_decode_words(best),
        confidence=optional_number(best, "confidence", maximum=1.0),
        language=optional_str(channel, "detected_language"),
        request_id=optional_str(metadata, "request_id"),
    )


def _decode_words(obj: dict[str, object]) -> tuple[Word, ...]:
    raw = obj.get("words")
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise ProtocolError("words is not a list")
    if len(raw) > _MAX_WORDS:
        raise ProtocolError("too many words")
    return tuple(_decode_word(item) for item in raw)


def _decode_word(item: object) -> Word:
    if not isinstance(item, dict):
        raise ProtocolError("a word is not an object")
    start_s = optional_number(item, "start", maximum=_MAX_SECONDS)
    end_s = optional_number(item, "end", maximum=_MAX_SECONDS)
    if start_s is None or end_s is None or end_s < start_s:
        raise ProtocolError("a word has no valid times")
    return Word(
        text=optional_str(item, "punctuated_word") or required_str(item, "word"),
        start_s=start_s,
        end_s=end_s,
        confidence=optional_number(item, "confidence", maximum=1.0),
    )
