"""What an ``STT`` or a ``TTS`` was asked to do. Streams work on a copy; a key is never printed."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.agents.language import LanguageCode
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.url import Account, Query, ws_url
from livekit.plugins.gatewaykit.websocket import SocketOptions

from ._limits import ReplayOptions, STTTimeouts, TTSTimeouts
from ._settle import SettlePolicy
from .models import EndOfInput, STTDialect, STTEncoding

ACCOUNT = Account(
    name="AIgateway",
    default_base_url="https://api.aigateway.sh/v1",
    base_url_variable="AIGATEWAY_BASE_URL",
    api_key_variable="AIGATEWAY_API_KEY",
)
TAG_HEADER = "x-aig-tag"
"""Carries the label under which the gateway books a request's cost."""

STT_PATH = "/audio/transcriptions/stream"
STT_BATCH_PATH = "/audio/transcriptions"
TTS_PATH = "/audio/speech/stream"

DOCUMENTED_STT_SAMPLE_RATE = 16000
"""What the endpoint expects when it is told nothing."""


@dataclass(frozen=True, kw_only=True)
class STTOptions:
    """Everything that shapes a transcription request."""

    model: str
    language: LanguageCode
    sample_rate: int
    encoding: STTEncoding
    base_url: str
    keys: KeyRing
    tag: str
    dialect: STTDialect
    interim_results: bool
    punctuate: bool
    smart_format: bool
    endpointing_ms: int | None
    keyterms: tuple[str, ...]
    preflight: SettlePolicy | None
    timeouts: STTTimeouts
    limits: Limits
    replay: ReplayOptions

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request, beside the key."""
        return {TAG_HEADER: self.tag}

    def stream_url(self) -> str:
        """The address of the streaming socket, with every option that is baked into it."""
        query = [("model", self.model)]
        if self.dialect == "deepgram":
            query += self._deepgram_query()
        return ws_url(self.base_url, STT_PATH, query)

    def _deepgram_query(self) -> Query:
        query = [
            ("language", str(self.language)),
            ("interim_results", _flag(self.interim_results)),
            ("punctuate", _flag(self.punctuate)),
            ("smart_format", _flag(self.smart_format)),
        ]
        if self.endpointing_ms is not None:
            query.append(("endpointing", str(self.endpointing_ms)))
        if (self.encoding, self.sample_rate) != ("linear16", DOCUMENTED_STT_SAMPLE_RATE):
            query += [("encoding", self.encoding), ("sample_rate", str(self.sample_rate))]
        query += [("keyterm", term) for term in self.keyterms]
        return query

    def socket_options(self) -> SocketOptions:
        """Bounds of the streaming socket."""
        return SocketOptions(
            max_message_bytes=self.limits.json_bytes,
            queue_messages=self.limits.receive_queue_messages,
            heartbeat_s=self.timeouts.heartbeat_s,
            send_s=self.timeouts.send_s,
            close_s=self.timeouts.close_s,
        )


@dataclass(frozen=True, kw_only=True)
class TTSOptions:
    """Everything that shapes a synthesis request."""

    model: str
    voice: str
    sample_rate: int
    base_url: str
    keys: KeyRing
    tag: str
    end_of_input: EndOfInput
    timeouts: TTSTimeouts
    limits: Limits

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request, beside the key."""
        return {TAG_HEADER: self.tag}

    def stream_url(self) -> str:
        """The address of the streaming socket, with every option that is baked into it."""
        return ws_url(self.base_url, TTS_PATH, [("model", self.model), ("voice", self.voice)])

    def socket_options(self) -> SocketOptions:
        """Bounds of the streaming socket."""
        return SocketOptions(
            max_message_bytes=self.limits.audio_message_bytes,
            queue_messages=self.limits.receive_queue_messages,
            heartbeat_s=self.timeouts.heartbeat_s,
            send_s=self.timeouts.send_s,
            close_s=self.timeouts.close_s,
        )


def _flag(value: bool) -> str:
    return "true" if value else "false"
