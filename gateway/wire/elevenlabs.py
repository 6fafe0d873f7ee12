"""ElevenLabs' `multi-stream-input` and `stream`: text in, audio in JSON out, by contexts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from gateway.config import Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import AudioFormat
from gateway.wire.dialects import Hangup, Release, Say, TtsCommand
from gateway.wire.sentences import Sentences
from gateway.wire.strict_json import JsonObject, dumps, loads_object

_MAX_ID_CHARS = 128


def decode_output_format(query: Mapping[str, str]) -> AudioFormat:
    """Read `output_format`, such as `mp3_22050_32` or `pcm_24000`.

    Raises:
        ProtocolError: if this gateway does not send it.
    """
    name, _, rest = query.get("output_format", "mp3_44100_128").partition("_")
    rate = rest.partition("_")[0]
    if name not in ("mp3", "pcm") or not (rate.isascii() and rate.isdecimal() and len(rate) < 7):
        raise ProtocolError("output_format must be mp3_RATE_BITRATE or pcm_RATE")
    return AudioFormat(encoding="linear16" if name == "pcm" else "mp3", rate_hz=int(rate))


def decode_stream_body(body: bytes, *, limits: Limits) -> tuple[str, str]:
    """Read the text and the model of a `POST …/stream`.

    Raises:
        ProtocolError: if there is no text.
    """
    message = loads_object(
        body, max_bytes=limits.max_chat_body_bytes, max_depth=limits.max_json_depth
    )
    text, model = message.get("text"), message.get("model_id")
    if not isinstance(text, str) or not text.strip():
        raise ProtocolError("'text' must be a text that is not blank")
    if len(text) > limits.max_tts_text_chars:
        raise ProtocolError(f"'text' is longer than {limits.max_tts_text_chars} characters")
    return text, model if isinstance(model, str) else ""


class ElevenLabsTts:
    """Contexts are replies; each is spoken on its own, and told to be final once it is closed."""

    def __init__(self, *, limits: Limits, wanted: AudioFormat) -> None:
        self.format = wanted
        self._limits = limits
        self._contexts: dict[str, Sentences] = {}

    def read(self, message: str) -> Sequence[TtsCommand]:
        """Read one message."""
        body = loads_object(
            message,
            max_bytes=self._limits.max_text_frame_bytes,
            max_depth=self._limits.max_json_depth,
        )
        if body.get("close_socket") is True:
            return [Hangup()]
        context = _context_of(body)
        if body.get("close_context") is True:
            sentences = self._contexts.pop(context, None)
            rest = sentences.flush() if sentences is not None else []
            return [*(Say(text=text, context=context) for text in rest), Release(context=context)]
        text = body.get("text", "")
        if not isinstance(text, str):
            raise ProtocolError("'text' must be a string")
        waiting = self._waiting(context)
        ready = waiting.push(text)
        if body.get("flush") is True:
            ready += waiting.flush()
        return [Say(text=sentence, context=context) for sentence in ready]

    def _waiting(self, context: str) -> Sentences:
        if context not in self._contexts:
            if len(self._contexts) >= self._limits.max_tts_contexts:
                raise ProtocolError(
                    f"at most {self._limits.max_tts_contexts} contexts may be open on a socket"
                )
            self._contexts[context] = Sentences(max_chars=self._limits.max_tts_text_chars)
        return self._contexts[context]

    def audio(self, data: bytes, context: str) -> str | bytes:
        """Audio in base64."""
        return dumps({"audio": base64.b64encode(data).decode(), "contextId": context})

    def marked(self, context: str) -> str | None:
        """Not known here."""
        return None

    def cleared(self, context: str) -> str | None:
        """Not known here."""
        return None

    def released(self, context: str) -> str | None:
        """The context is over."""
        return dumps({"isFinal": True, "contextId": context})

    def error(self, message: str, *, code: str) -> str | None:
        """An error that belongs to no context."""
        return dumps({"error": code, "message": message})


def _context_of(body: JsonObject) -> str:
    context = body.get("context_id", "")
    if not isinstance(context, str) or len(context) > _MAX_ID_CHARS:
        raise ProtocolError(f"'context_id' must be a string of up to {_MAX_ID_CHARS} characters")
    return context
