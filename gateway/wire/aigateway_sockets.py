"""AIgateway's two sockets as dialects; the messages themselves are in `gateway.wire.aigateway`."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config import Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import AudioFormat
from gateway.wire.aigateway import (
    Transcript,
    decode_stt_text,
    decode_tts_text,
    encode_error,
    encode_speech_started,
    encode_stt_metadata,
    encode_transcript,
    encode_tts_done,
)
from gateway.wire.dialects import Hangup, Mark, PlainTts, Say, SttDialect, SttInput, TtsCommand


class AigatewayStt(SttDialect):
    """Strict: two members a message. Extended: Deepgram's `Results`, `Metadata` and errors."""

    def __init__(
        self, *, limits: Limits, extended: bool, request_id: str, audio: AudioFormat
    ) -> None:
        self.audio = audio
        self.words = extended
        self._limits = limits
        self._extended = extended
        self._request_id = request_id

    def read(self, message: str | bytes) -> SttInput:
        """Read one message."""
        if isinstance(message, bytes):
            return message
        return decode_stt_text(message, limits=self._limits)

    def transcript(self, transcript: Transcript) -> str:
        """A partial or a final."""
        return encode_transcript(transcript, extended=self._extended, request_id=self._request_id)

    def speech_started(self, at_s: float) -> str | None:
        """Deepgram's `SpeechStarted` (extended)."""
        return encode_speech_started(at_s) if self._extended else None

    def farewell(self, audio_s: float) -> str | None:
        """Deepgram's `Metadata` (extended)."""
        if not self._extended:
            return None
        return encode_stt_metadata(request_id=self._request_id, duration_s=audio_s)

    def error(self, message: str, *, code: str) -> str | None:
        """The error (extended)."""
        return encode_error(message, code=code) if self._extended else None


class AigatewayTts(PlainTts):
    """Strict: audio and nothing else. Extended: the end of each text is told."""

    def __init__(self, *, limits: Limits, extended: bool) -> None:
        self._limits = limits
        self._extended = extended

    def read(self, message: str) -> Sequence[TtsCommand]:
        """Read one message."""
        text = decode_tts_text(message, limits=self._limits)
        if text:
            return [Say(text=text), Mark()] if self._extended else [Say(text=text)]
        return [Hangup()] if self._extended else []

    def marked(self, context: str) -> str | None:
        """The end of the audio of one text (extended)."""
        return encode_tts_done() if self._extended else None

    def error(self, message: str, *, code: str) -> str | None:
        """The error (extended)."""
        return encode_error(message, code=code) if self._extended else None


def require_text(message: str, limits: Limits) -> str:
    """Return a text to be spoken if it is short enough.

    Raises:
        ProtocolError: if it is too long.
    """
    if len(message) > limits.max_tts_text_chars:
        raise ProtocolError(f"the text is longer than {limits.max_tts_text_chars} characters")
    return message
