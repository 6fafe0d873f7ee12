"""Deepgram's `listen` and `speak`, as far as voice agents use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.config import TTS_SAMPLE_RATE_HZ, Limits
from gateway.errors import ProtocolError
from gateway.speech.formats import AudioFormat
from gateway.wire.aigateway import SttOptions, decode_rate, decode_stt_query
from gateway.wire.aigateway_sockets import AigatewayStt, require_text
from gateway.wire.dialects import Clear, Hangup, Mark, PlainTts, Say, TtsCommand
from gateway.wire.sentences import Sentences
from gateway.wire.strict_json import JsonObject, dumps, loads_object


class DeepgramStt(AigatewayStt):
    """Deepgram's own socket says everything that AIgateway's extended form does."""

    def __init__(self, *, limits: Limits, request_id: str, audio: AudioFormat) -> None:
        super().__init__(limits=limits, extended=True, request_id=request_id, audio=audio)


def decode_listen_query(query: Mapping[str, str]) -> SttOptions:
    """Read the options of a `listen` request; options not known here are ignored.

    Raises:
        ProtocolError: for a missing model or a malformed option.
    """
    # Deepgram sends no partials unless asked to
    return decode_stt_query({"interim_results": "false", **query})


def encode_listen_result(text: str, *, duration_s: float, request_id: str) -> JsonObject:
    """The answer for a whole recording; its words have no times here."""
    alternative: JsonObject = {"transcript": text, "confidence": 1.0, "words": []}
    return {
        "metadata": {"request_id": request_id, "duration": round(duration_s, 3), "channels": 1},
        "results": {"channels": [{"alternatives": [alternative]}]},
    }


def decode_speak_query(query: Mapping[str, str]) -> tuple[str, AudioFormat]:
    """Read the model and the audio format of a `speak` request.

    Raises:
        ProtocolError: for a missing model or audio that is not sent here.
    """
    model = query.get("model", "")
    if not model:
        raise ProtocolError("the query parameter 'model' is missing")
    return model, AudioFormat(
        encoding=query.get("encoding", "linear16"),
        rate_hz=decode_rate(query, default=TTS_SAMPLE_RATE_HZ),
    )


def decode_speak_body(body: bytes, *, limits: Limits) -> str:
    """Read the text of a `POST /v1/speak`.

    Raises:
        ProtocolError: if there is none.
    """
    message = loads_object(
        body, max_bytes=limits.max_chat_body_bytes, max_depth=limits.max_json_depth
    )
    text = message.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ProtocolError("'text' must be a text that is not blank")
    return require_text(text, limits)


class DeepgramTts(PlainTts):
    """`Speak`, `Flush`, `Clear` and `Close`; sentences are spoken as they are complete."""

    def __init__(self, *, limits: Limits, wanted: AudioFormat) -> None:
        self.format = wanted
        self._limits = limits
        self._sentences = Sentences(max_chars=limits.max_tts_text_chars)

    def read(self, message: str) -> Sequence[TtsCommand]:
        """Read one message."""
        body = loads_object(
            message,
            max_bytes=self._limits.max_text_frame_bytes,
            max_depth=self._limits.max_json_depth,
        )
        match body.get("type"):
            case "Speak":
                text = body.get("text")
                if not isinstance(text, str):
                    raise ProtocolError("'text' must be a string")
                return [Say(text=sentence) for sentence in self._sentences.push(text)]
            case "Flush":
                return [*self._rest(), Mark()]
            case "Clear":
                self._sentences.flush()
                return [Clear()]
            case "Close":
                return [*self._rest(), Hangup()]
        raise ProtocolError("'type' must be Speak, Flush, Clear or Close")

    def _rest(self) -> list[TtsCommand]:
        return [Say(text=text) for text in self._sentences.flush()]

    def marked(self, context: str) -> str | None:
        """All that was said before the `Flush` has been sent."""
        return dumps({"type": "Flushed", "sequence_id": 0})

    def cleared(self, context: str) -> str | None:
        """Nothing is waiting any more."""
        return dumps({"type": "Cleared", "sequence_id": 0})

    def error(self, message: str, *, code: str) -> str | None:
        """Deepgram's error message."""
        return dumps({"type": "Error", "description": message, "code": code})
