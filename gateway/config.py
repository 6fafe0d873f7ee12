"""Settings of the gateway: frozen, validated once, every figure with its unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from gateway.errors import ConfigError

STT_SAMPLE_RATE_HZ = 16_000
"""Rate of the audio that AIgateway's speech-to-text socket takes (s16le mono)."""

TTS_SAMPLE_RATE_HZ = 24_000
"""Rate of the audio that AIgateway's text-to-speech socket sends (s16le mono)."""

LOCAL_MODELS: Mapping[str, str] = MappingProxyType(
    {"stt": "local/whisper-tiny.en", "llm": "local/brain", "tts": "local/piper-joe"}
)
"""A real engine for each stage."""

DEFAULT_PRELOAD = ("local/whisper-tiny.en", "local/piper-joe")
"""Models that the command line loads before it says that it is ready."""


def _require_positive(settings: object, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) > 0:
            raise ConfigError(f"{type(settings).__name__}.{name} must be greater than zero")


def _require_not_negative(settings: object, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) >= 0:
            raise ConfigError(f"{type(settings).__name__}.{name} must not be negative")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Everything a peer could make grow, with its bound."""

    max_text_frame_bytes: int = 64 * 1024
    """One JSON text frame on a socket; a longer one closes it with 1009."""
    max_audio_frame_bytes: int = 1024 * 1024
    """One binary audio frame on a socket (32 s at 16 kHz); a longer one closes it with 1009."""
    max_chat_body_bytes: int = 1024 * 1024
    """Body of one chat request."""
    max_upload_bytes: int = 25 * 1024 * 1024
    """Body of one batch transcription (the limit of OpenAI's own endpoint)."""
    max_json_depth: int = 32
    """Nesting of objects and arrays in any JSON that is decoded."""
    max_tts_text_chars: int = 5_000
    """One text to be spoken (the limit that hosted voices use)."""
    max_tts_contexts: int = 8
    """Replies in the making at the same time on one socket that multiplexes them."""
    max_queued_texts: int = 64
    """Texts waiting to be spoken on one socket; further ones are read once there is room."""
    max_utterance_ms: int = 25_000
    """Speech without a pause after which a final is forced (Whisper hears 30 s at a time)."""
    max_pending_finals: int = 4
    """Finals waiting for the recogniser on one socket; further audio is read once there is room."""
    max_batch_audio_s: float = 600.0
    """Length of one recording sent for batch transcription."""

    def __post_init__(self) -> None:
        _require_positive(self, *(f.name for f in fields(self)))


@dataclass(frozen=True, kw_only=True)
class SttConfig:
    """How speech is cut into utterances and when partials are made."""

    endpointing_ms: int = 300
    """Silence that ends an utterance, unless the client asks otherwise with `endpointing=`."""
    partial_interval_ms: int = 400
    """Audio between two partials while speech goes on."""
    speculate_after_ms: int = 120
    """Silence after which the final is decoded in advance, so that it is ready at the endpoint."""
    pre_roll_ms: int = 300
    """Audio kept from before the detected onset, so that no first consonant is lost."""
    settle_window_ms: int = 6_000
    """Age of a stretch of speech from which its next short pause fixes its words. Partials then
    decode only what follows, which bounds their cost in long utterances."""
    stalled_audio_ms: int = 1_500
    """Time without any audio in mid-utterance after which its final is sent."""
    vad_threshold: float = 0.5
    """Probability of speech that counts as speech (the value that Silero recommends)."""
    cpu_threads: int = 1
    """Threads of one Whisper decode; one decode runs at a time."""

    def __post_init__(self) -> None:
        _require_positive(self, *(f.name for f in fields(self)))
        if self.vad_threshold >= 1:
            raise ConfigError("SttConfig.vad_threshold must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TtsConfig:
    """How synthesis is paced."""

    max_lead_ms: int = 3_000
    """Audio sent ahead of the moment it would be played at. It bounds the work thrown away when the
    client closes the socket, and spares the processor while others need it."""
    cpu_threads: int = 2
    """Threads of one synthesis. It is waited for: the second one halves the first audio."""

    def __post_init__(self) -> None:
        _require_positive(self, *(f.name for f in fields(self)))


@dataclass(frozen=True, kw_only=True)
class BrainConfig:
    """Pace of `local/brain`, which would otherwise answer in no time at all."""

    first_token_ms: int = 60
    words_per_s: float = 24.0
    """About 32 tokens a second: a small hosted model's pace."""
    words_per_delta: int = 2

    def __post_init__(self) -> None:
        _require_positive(self, "words_per_s", "words_per_delta")
        _require_not_negative(self, "first_token_ms")


@dataclass(frozen=True, kw_only=True)
class SimConfig:
    """Latencies of the scripted engines; the defaults are the budget of AIgateway's own example."""

    stt_partial_lag_ms: int = 100
    """A partial holds only the words that had ended this long ago."""
    stt_partial_interval_ms: int = 100
    stt_final_ms: int = 140
    """From the true end of speech to the final. It is also the longest inner pause that is
    bridged."""
    llm_first_token_ms: int = 320
    llm_tokens_per_s: float = 60.0
    tts_connect_ms: int = 60
    """Delay of the socket's handshake."""
    tts_first_audio_ms: int = 180
    tts_realtime_factor: float = 5.0
    """Seconds of audio sent in a second, after the first audio."""
    tts_char_ms: int = 60
    """Length of the audio for one character of text."""
    word_ms: int = 280
    """Length of one spoken word where the script gives no end times."""
    script: Path | None = None
    """JSON file with the utterances and replies; see docs/gateway.md."""

    def __post_init__(self) -> None:
        _require_not_negative(
            self, "stt_partial_lag_ms", "llm_first_token_ms", "tts_connect_ms", "tts_first_audio_ms"
        )
        _require_positive(
            self,
            "stt_partial_interval_ms",
            "stt_final_ms",
            "llm_tokens_per_s",
            "tts_realtime_factor",
            "tts_char_ms",
            "word_ms",
        )


@dataclass(frozen=True, kw_only=True)
class UpstreamConfig:
    """An OpenAI-compatible server that answers chat requests instead of `local/brain`."""

    url: str = field(repr=False)
    """Base URL up to and including `/v1`. Not shown, as it may hold user:password."""
    key: str | None = field(default=None, repr=False)
    model: str | None = None
    """Model name sent to it; None sends on what the client asked for."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    """Longest silence of the server in mid-answer."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError("the URL of the language model must start with http:// or https://")
        _require_positive(self, "connect_timeout_s", "read_timeout_s")


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """All settings of one gateway."""

    host: str = "127.0.0.1"
    port: int = 8787
    """0 takes any free port."""
    key: str | None = field(default=None, repr=False)
    """Bearer key that clients must present; None lets everybody in."""
    extended: bool = False
    """Send markers, word times and request ids that the gateway's documentation does not
    mention."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further model names, each for one of the local ones."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Models that answer for every name not known here, by stage (`stt`, `llm`, `tts`), so that a
    client set up for other vendors runs against this gateway unchanged."""
    template: Mapping[str, str] = field(default_factory=lambda: LOCAL_MODELS)
    """Models of GateFlow's pipeline template, by stage, where a client names no other."""
    preload: tuple[str, ...] = ()
    """Models to load before the gateway is ready; others are loaded when first asked for."""
    whisper_models: Mapping[str, str] = field(default_factory=lambda: {"tiny.en": "tiny.en"})
    """Recognisers `local/whisper-NAME`, each with what faster-whisper is to load. A client can only
    choose among these: a name of its own would make this machine download or open what it names."""
    piper_voices: Mapping[str, str] = field(default_factory=lambda: {"joe": "joe"})
    """Voices `local/piper-NAME`, each "joe" or the path of an .onnx voice."""
    heartbeat_s: float = 20.0
    """Interval of pings on sockets; a peer that answers none for half of it is dropped."""
    shutdown_timeout_s: float = 2.0
    """Time that open connections get when the gateway stops."""
    faults: Path | None = None
    """Fault script to put in force from the start; see docs/faults-vocabulary.md."""
    limits: Limits = field(default_factory=Limits)
    stt: SttConfig = field(default_factory=SttConfig)
    tts: TtsConfig = field(default_factory=TtsConfig)
    brain: BrainConfig = field(default_factory=BrainConfig)
    sim: SimConfig = field(default_factory=SimConfig)
    upstream: UpstreamConfig | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError("the port must lie between 0 and 65535")
        if self.key is not None and not self.key:
            raise ConfigError("the key must not be empty; leave it out to let everybody in")
        _require_positive(self, "heartbeat_s", "shutdown_timeout_s")
        for name in ("aliases", "stand_ins", "template", "whisper_models", "piper_voices"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
