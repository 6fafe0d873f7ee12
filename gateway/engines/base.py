"""What the stages ask of an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.wire.aigateway import SttOptions, Transcript
from gateway.wire.openai_chat import ChatDelta, ChatRequest


@dataclass(frozen=True, kw_only=True)
class SpeechStarted:
    """The speaker began; the time is seconds since the start of the stream."""

    at_s: float


SttEvent: TypeAlias = Transcript | SpeechStarted


class SttSession(Protocol):
    """One stream of audio being recognised."""

    @property
    def in_utterance(self) -> bool:
        """Whether speech was heard whose final has not been told."""

    @property
    def audio_s(self) -> float:
        """Length of the audio taken so far."""

    async def push(self, pcm: bytes) -> None:
        """Take s16le mono 16 kHz; waits while too much is pending."""

    def finalize(self) -> None:
        """End the open utterance now and tell its final as soon as it is known."""

    def end_input(self) -> None:
        """Finalize; `events` ends after the last final."""

    def events(self) -> AsyncIterator[SttEvent]:
        """Tell what was heard, in order. To be called once."""

    async def aclose(self) -> None:
        """Stop all work at once."""


class SttEngine(Protocol):
    """Recognises speech."""

    def open(self, options: SttOptions, *, words: bool) -> SttSession:
        """Begin a stream; `words` asks for word times in finals."""

    async def transcribe(self, pcm: bytes) -> str:
        """Recognise a whole recording (s16le mono 16 kHz)."""


class TtsSession(Protocol):
    """One socket's voice: texts are spoken in the order they came."""

    def speak(self, text: str, *, received_at_s: float) -> AsyncIterator[bytes]:
        """Return the audio of one text as it is made, s16le mono 24 kHz.

        Args:
            text: what to speak; never blank.
            received_at_s: monotonic time at which it came; scripted latencies count from it.
        """


class TtsEngine(Protocol):
    """Speaks."""

    async def connect(self, voice: str) -> TtsSession:
        """Begin a socket; whatever time this takes is spent inside the handshake."""


class ChatEngine(Protocol):
    """Answers a conversation."""

    def reply(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Return the answer as it is made; it ends when the answer does."""
