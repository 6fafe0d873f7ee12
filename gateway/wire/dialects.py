"""What the speech sockets have in common: each dialect reads and writes these, without I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.speech.formats import SPOKEN, AudioFormat
from gateway.wire.aigateway import SttControl, Transcript

SttInput: TypeAlias = "bytes | SttControl | AudioFormat | None"
"""Audio, a request, the format of the audio that follows, or nothing of interest."""


class SttDialect(ABC):
    """One speech-to-text socket. This base class says nothing that is not asked for.

    Attributes:
        audio: format of the audio until `read` tells another.
        words: whether finals shall have word times.
    """

    audio: AudioFormat
    words = False

    @abstractmethod
    def read(self, message: str | bytes) -> SttInput:
        """Read one message.

        Raises:
            ProtocolError: if it is not one of this dialect.
        """

    def greeting(self) -> str | None:
        """What answers the format of the audio."""
        return None

    @abstractmethod
    def transcript(self, transcript: Transcript) -> str:
        """A partial or a final."""

    def speech_started(self, at_s: float) -> str | None:
        """The speaker began."""
        return None

    def farewell(self, audio_s: float) -> str | None:
        """The last message before the socket is closed."""
        return None

    def error(self, message: str, *, code: str) -> str | None:
        """What goes before closing for an error."""
        return None


@dataclass(frozen=True, kw_only=True)
class Say:
    """Text to be spoken."""

    text: str
    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Tell when all before it has been spoken."""

    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Clear:
    """Stop speaking at once and forget what is waiting."""

    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """No more text in this context; tell when all has been spoken."""

    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Hangup:
    """Close the socket once all before it has been spoken."""

    context: str = ""


TtsCommand: TypeAlias = Say | Mark | Clear | Release | Hangup


class TtsDialect(Protocol):
    """One text-to-speech socket."""

    @property
    def format(self) -> AudioFormat:
        """How audio is to be written."""

    def read(self, message: str) -> Sequence[TtsCommand]:
        """Read one message.

        Raises:
            ProtocolError: if it is not one of this dialect.
        """

    def audio(self, data: bytes, context: str) -> str | bytes:
        """Some audio."""

    def marked(self, context: str) -> str | None:
        """What answers a `Mark`."""

    def cleared(self, context: str) -> str | None:
        """What answers a `Clear`."""

    def released(self, context: str) -> str | None:
        """What answers a `Release`."""

    def error(self, message: str, *, code: str) -> str | None:
        """What goes before closing for an error."""


class PlainTts:
    """Audio as binary messages and no answers: what dialects begin from."""

    format: AudioFormat = SPOKEN

    def audio(self, data: bytes, context: str) -> str | bytes:
        """Audio as it is."""
        return data

    def marked(self, context: str) -> str | None:
        """No answer."""
        return None

    def cleared(self, context: str) -> str | None:
        """No answer."""
        return None

    def released(self, context: str) -> str | None:
        """No answer."""
        return None

    def error(self, message: str, *, code: str) -> str | None:
        """Nothing goes before closing."""
        return None
