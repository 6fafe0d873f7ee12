"""Every wait and every size that this plugin knows, by name, with its unit and where it comes from.

All are values that can be passed to a constructor; none is a literal in the code that uses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


def _require_positive(config: object) -> None:
    """Refuse zero, negative and non-finite values: a deadline of 0 would be no deadline at all."""
    for field in fields(config):  # type: ignore[arg-type]  # every caller is a dataclass instance
        value = getattr(config, field.name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(config).__name__}.{field.name} must be positive, got {value}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes. A message beyond one is refused, never truncated."""

    json_bytes: int = 64 * 1024
    """Largest text message accepted. A minute of word-timed transcript is about 20 KiB."""
    json_depth: int = 16
    """Deepest nesting accepted. Deepgram's own results nest five deep."""
    audio_message_bytes: int = 1024 * 1024
    """Largest binary message accepted: 21 s of 24 kHz audio."""
    receive_queue_messages: int = 256
    """Messages held for a slow consumer before the socket is no longer read (TCP pushes back)."""
    bad_frames_in_a_row: int = 5
    """Frames that do not decode before the connection is given up for another one."""
    clause_chars: int = 600
    """Longest text sent in one message; longer input is split at white space."""
    resumes: int = 3
    """Sockets a single reply may lose after audio was spoken before the reply fails."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, kw_only=True)
class STTTimeouts:
    """Waits of the speech-to-text socket, in seconds of monotonic time."""

    reconnect_s: float = 8.0
    """From losing a live socket to giving up: the longest a turn may take."""
    silence_watchdog_s: float = 5.0
    """Silence from the server while speech flows before the socket counts as half-open."""
    heartbeat_s: float = 10.0
    """WebSocket ping interval; a pong has half of it to arrive."""
    send_s: float = 5.0
    """A write that takes longer means that the peer no longer reads."""
    keepalive_s: float = 4.0
    """Deepgram closes a socket that heard nothing for 10 s and asks for a message every 3 to 5
    s."""
    drain_s: float = 3.0
    """After the end of input: the longest wait for the last final."""
    end_of_speech_s: float = 1.0
    """After a final that is not the end of its utterance: the wait for more."""
    close_s: float = 1.0
    """The server's answer to our close frame."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """How much audio is kept for a reconnect and how fast it is sent again."""

    ring_s: float = 15.0
    """Audio kept that no final covers yet: 480 KB at 16 kHz."""
    speed: float = 8.0
    """Times real time. Fast enough for a full ring in 2 s, slow enough not to be taken for a
    flood."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, kw_only=True)
class TTSTimeouts:
    """Waits of the text-to-speech socket, in seconds of monotonic time."""

    first_audio_s: float = 1.5
    """From text sent to its first byte. The gateway's own budget is 0.18 s."""
    inter_chunk_s: float = 1.0
    """Between two chunks while more audio is owed."""
    quiet_s: float = 0.25
    """Without an end marker: silence after the received audio has played that ends a reply."""
    send_s: float = 2.0
    """A write that takes longer means that the peer no longer reads."""
    heartbeat_s: float = 10.0
    """WebSocket ping interval; a pong has half of it to arrive."""
    spare_max_age_s: float = 45.0
    """A warm spare older than this is replaced: common proxies drop an idle socket after 60 s."""
    close_s: float = 0.25
    """The server's answer to our close frame. Short: it may be speaking to nobody meanwhile."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, kw_only=True)
class LLMTimeouts:
    """Waits of a completion, in seconds of monotonic time.

    The wait for the first chunk and between two chunks is ``conn_options.timeout``.
    """

    total_s: float = 30.0
    """One attempt, whatever drips. A reply of three sentences takes about 3 s."""

    def __post_init__(self) -> None:
        _require_positive(self)
