"""The events of a pipeline and of the realtime socket.

Both are read by one decoder, for their names do not collide: ``transcription.partial`` and
``transcription.final`` are the caller's words, ``llm.token`` and ``transcript`` the assistant's,
``audio.chunk`` and ``audio`` its voice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from livekit.plugins.gatewaykit.envelope import ErrorMessage, UnknownMessage
from livekit.plugins.gatewaykit.json import optional_str, required_str

from .audio import decode_audio, encode_audio
from .errors import decode_error


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller said so far in this turn."""

    text: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of what the assistant says."""

    text: str
    is_sentence: bool = False
    """Whether it stands for itself: nobody says with what between it and the one before."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Some audio of the assistant's."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TextDone:
    """The assistant's text is complete."""


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is complete."""


RealtimeMessage = Heard | Text | Audio | TextDone | Done | ErrorMessage | UnknownMessage


def decode(obj: dict[str, object]) -> RealtimeMessage:
    """Read one event.

    Raises:
        ProtocolError: Its members have the wrong types.
    """
    error = decode_error(obj)
    if error is not None:
        return error
    match optional_str(obj, "type"):
        case "transcription.partial":
            return Heard(required_str(obj, "text"), is_final=False)
        case "transcription.final":
            return Heard(required_str(obj, "text"), is_final=True)
        case "llm.token":
            return Text(required_str(obj, "token"))
        case "transcript":
            return Text(required_str(obj, "text").strip(), is_sentence=True)
        case "audio.chunk" | "audio":
            return Audio(decode_audio(obj, "data"))
        case "llm.done":
            return TextDone()
        case "done":
            return Done()
    return UnknownMessage()


def encode_config(*, template: str, context: str, options: Mapping[str, object]) -> str:
    """The first message on the socket."""
    return json.dumps({"type": "config", "template": template, "context": context, **options})


def encode_input(pcm: bytes) -> str:
    """Some audio of the caller's."""
    return json.dumps({"type": "audio", "data": encode_audio(pcm)})


def pipeline_request(
    *, template: str, recording: bytes, options: Mapping[str, object]
) -> dict[str, object]:
    """The body of a pipeline request."""
    audio = encode_audio(recording)
    return {"template": template, "audio": audio, "stream": True, **options}
