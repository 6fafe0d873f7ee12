"""Streamed transcription: ``{"type": "partial" | "final", "text"}``, one object after the other.

``{"text"}`` without a type is taken for a final: it is what the same address answers when it does
not stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage
from livekit.plugins.gatewaykit.json import optional_str, required_str

from .errors import decode_error


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was understood so far; the final is the last of them."""

    text: str
    is_final: bool


STTMessage = Transcript | ErrorMessage | UnknownMessage


def decode(obj: dict[str, object]) -> STTMessage:
    """Read one object.

    Raises:
        ProtocolError: Its members have the wrong types.
    """
    error = decode_error(obj)
    if error is not None:
        return error
    kind = optional_str(obj, "type")
    if kind == "partial":
        return Transcript(required_str(obj, "text"), is_final=False)
    if kind == "final" or (kind is None and "text" in obj):
        return Transcript(required_str(obj, "text"), is_final=True)
    return UnknownMessage()
