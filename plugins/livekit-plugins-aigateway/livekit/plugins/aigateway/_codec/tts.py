"""Text to speech: what the client sends, and the few texts that a server may send beside audio.

Documented: the client sends ``{"text": "one clause"}``, the server sends 16-bit little-endian
mono PCM in binary messages. No end marker is documented; the ones that related services use are
understood.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage, decode_error
from livekit.plugins.gatewaykit.json import loads_object, optional_bool, optional_str
from livekit.plugins.gatewaykit.limits import Limits

END_OF_INPUT = '{"text": ""}'
"""ElevenLabs' own convention for "no more text"."""

BYTES_PER_SAMPLE = 2


@dataclass(frozen=True, slots=True)
class TextDone:
    """All audio of one text message has been sent (``{"type": "flushed"}``)."""


@dataclass(frozen=True, slots=True)
class StreamDone:
    """All audio has been sent: ``type`` is ``done``, or ``isFinal`` or ``is_final`` is true."""


TTSMessage = TextDone | StreamDone | ErrorMessage | UnknownMessage


def encode_text(text: str) -> str:
    """One clause as the server takes it."""
    return json.dumps({"text": text})


def decode(text: str, limits: Limits) -> TTSMessage:
    """Decode one text message.

    Raises:
        ProtocolError: It is not a message of this wire form, or a broken one.
    """
    obj = loads_object(text, limits)
    if (error := decode_error(obj)) is not None:
        return error
    kind = (optional_str(obj, "type") or "").lower()
    if kind == "flushed":
        return TextDone()
    if kind == "done" or optional_bool(obj, "isFinal") or optional_bool(obj, "is_final"):
        return StreamDone()
    return UnknownMessage()
