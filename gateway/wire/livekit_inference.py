"""The sockets of LiveKit Inference, as `livekit.agents.inference` 1.8.9 uses them.

All messages are JSON, audio is s16le in base64. A session begins with `session.create`, which tells
the sample rate; the model is in the query.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from gateway.config import STT_SAMPLE_RATE_HZ, TTS_SAMPLE_RATE_HZ, Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import SPOKEN, AudioFormat
from gateway.wire.aigateway import SttControl, Transcript
from gateway.wire.aigateway_sockets import require_text
from gateway.wire.dialects import Mark, Say, SttDialect, SttInput, TtsCommand
from gateway.wire.strict_json import JsonObject, JsonValue, dumps, loads_object

_ENCODING = "pcm_s16le"


def decode_base64(value: JsonValue | None) -> bytes:
    """Decode audio.

    Raises:
        ProtocolError: if it is not base64, to the letter.
    """
    if not isinstance(value, str):
        raise ProtocolError("audio must be a string in base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("audio is not base64") from None


def _format(settings: JsonObject, *, default_hz: int) -> AudioFormat:
    rate = settings.get("sample_rate", str(default_hz))
    if not isinstance(rate, str) or not (rate.isascii() and rate.isdecimal() and len(rate) < 7):
        raise ProtocolError("sample_rate must be a string with a whole number of Hz")
    if settings.get("encoding", _ENCODING) != _ENCODING:
        raise ProtocolError(f"encoding must be {_ENCODING}")
    return AudioFormat(rate_hz=int(rate))


class InferenceStt(SttDialect):
    """`session.create`, `input_audio`, `session.finalize`, `session.close`."""

    def __init__(self, *, limits: Limits, request_id: str) -> None:
        self.audio = AudioFormat(rate_hz=STT_SAMPLE_RATE_HZ)
        self.words = True
        self._limits = limits
        self._request_id = request_id

    def read(self, message: str | bytes) -> SttInput:
        """Read one message; `session.update` changes nothing that engines here know."""
        if isinstance(message, bytes):
            raise ProtocolError("this socket takes JSON text only")
        body = loads_object(
            message,
            max_bytes=self._limits.max_audio_frame_bytes,
            max_depth=self._limits.max_json_depth,
        )
        match body.get("type"):
            case "session.create":
                settings = body.get("settings", {})
                if not isinstance(settings, dict):
                    raise ProtocolError("'settings' must be an object")
                return _format(settings, default_hz=STT_SAMPLE_RATE_HZ)
            case "input_audio":
                return decode_base64(body.get("audio"))
            case "session.finalize":
                return SttControl.FINALIZE
            case "session.close":
                return SttControl.CLOSE_STREAM
        return None

    def greeting(self) -> str | None:
        """The session is there."""
        return dumps({"type": "session.created"})

    def transcript(self, transcript: Transcript) -> str:
        """An interim or a final."""
        words = [
            {
                "word": word.text,
                "start": round(word.start_s, 3),
                "end": round(word.end_s, 3),
                "confidence": round(word.confidence, 4),
            }
            for word in transcript.words
        ]
        return dumps(
            {
                "type": "final_transcript" if transcript.is_final else "interim_transcript",
                "request_id": self._request_id,
                "transcript": transcript.text,
                "start": round(transcript.start_s, 3),
                "duration": round(transcript.duration_s, 3),
                "confidence": round(transcript.confidence, 4),
                "words": words,
            }
        )

    def speech_started(self, at_s: float) -> str | None:
        """The speaker began."""
        return dumps({"type": "start_of_speech"})

    def farewell(self, audio_s: float) -> str | None:
        """The session is over."""
        return dumps({"type": "session.closed"})

    def error(self, message: str, *, code: str) -> str | None:
        """The error."""
        return dumps({"type": "error", "code": code, "message": message})


class InferenceTts:
    """`session.create`, `input_transcript` and `session.flush`; `done` ends a reply."""

    def __init__(self, *, limits: Limits, session_id: str) -> None:
        self.format = SPOKEN
        self._limits = limits
        self._session_id = session_id

    def read(self, message: str) -> Sequence[TtsCommand]:
        """Read one message."""
        body = loads_object(
            message,
            max_bytes=self._limits.max_text_frame_bytes,
            max_depth=self._limits.max_json_depth,
        )
        match body.get("type"):
            case "session.create":
                self.format = _format(body, default_hz=TTS_SAMPLE_RATE_HZ)
            case "input_transcript":
                text = body.get("transcript")
                if not isinstance(text, str):
                    raise ProtocolError("'transcript' must be a string")
                return [Say(text=require_text(text, self._limits))]
            case "session.flush":
                return [Mark()]
        return []

    def audio(self, data: bytes, context: str) -> str | bytes:
        """Audio in base64."""
        audio = base64.b64encode(data).decode()
        return dumps({"type": "output_audio", "audio": audio, "session_id": self._session_id})

    def marked(self, context: str) -> str | None:
        """The reply is over."""
        return dumps({"type": "done", "session_id": self._session_id})

    def cleared(self, context: str) -> str | None:
        """Not known here."""
        return None

    def released(self, context: str) -> str | None:
        """Not known here."""
        return None

    def error(self, message: str, *, code: str) -> str | None:
        """The error."""
        return dumps({"type": "error", "code": code, "message": message})
