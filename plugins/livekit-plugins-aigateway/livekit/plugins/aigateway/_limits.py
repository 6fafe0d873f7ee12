"""The waits of AIgateway's sockets, by name, with unit and origin; sizes are in ``gatewaykit``.

All are values that can be passed to a constructor; none is a literal in the code that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.plugins.gatewaykit.limits import require_positive


@dataclass(frozen=True, kw_only=True)
class STTTimeouts:
    """Waits of the speech-to-text socket, in seconds of monotonic time."""

    reconnect_s: float = 8.0
    """From losing a live socket to giving up: the longest a turn may take."""
    silence_watchdog_s: float = 5.0
    """Silence from the server while speech flows before the socket counts as half-open."""
    final_s: float = 2.0
    """Silence of both caller and server while a final is owed, before it is fetched over another
    connection: the caller has stopped and is waiting. The gateway's own budget is 0.14 s; a
    recogniser on a busy machine took 1 s."""
    pong_s: float = 1.5
    """From a ping to its pong, when the caller has spoken and the server has said nothing since:
    without one the socket is half-open. A word is too short for the watchdog."""
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
        require_positive(self)


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """How much audio is kept for a reconnect and how fast it is sent again."""

    ring_s: float = 15.0
    """Audio kept that no final covers yet: 480 KB at 16 kHz."""
    speed: float = 8.0
    """Times real time. Fast enough for a full ring in 2 s, slow enough not to be taken for a
    flood."""

    def __post_init__(self) -> None:
        require_positive(self)


@dataclass(frozen=True, kw_only=True)
class TTSTimeouts:
    """Waits of the text-to-speech socket, in seconds of monotonic time."""

    first_audio_s: float = 1.5
    """From text sent to its first byte. The gateway's own budget is 0.18 s."""
    inter_chunk_s: float = 1.0
    """Between two chunks while more audio is owed, after what has come had time to play."""
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
        require_positive(self)
