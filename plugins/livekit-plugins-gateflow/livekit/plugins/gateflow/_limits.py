"""The waits of this gateway's forms, by name, with unit and origin; sizes are in ``gatewaykit``."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.plugins.gatewaykit.limits import require_positive


@dataclass(frozen=True, kw_only=True)
class STTTimeouts:
    """Waits of a transcription, in seconds of monotonic time."""

    first_line_s: float = 2.5
    """From the request to the first line of its answer, the upload included; twice as long when it
    is asked again for want of one. The gateway's own budget is 0.2 to 0.5 s."""
    between_lines_s: float = 2.0
    """Between two lines."""
    total_s: float = 15.0
    """One attempt, whatever drips."""
    segment_s: float = 8.0
    """All attempts for one stretch of speech: the longest a turn may take."""

    def __post_init__(self) -> None:
        require_positive(self)


@dataclass(frozen=True, kw_only=True)
class TTSTimeouts:
    """Waits of a synthesis, in seconds of monotonic time."""

    first_audio_s: float = 2.0
    """From the request to its first byte of audio. The gateway's own budget is 0.2 s."""
    inter_chunk_s: float = 1.0
    """Between two chunks, beyond what has been received as playing time."""
    total_s: float = 60.0
    """One request, whatever drips. A clause of 600 characters takes 40 s to say."""

    def __post_init__(self) -> None:
        require_positive(self)


@dataclass(frozen=True, kw_only=True)
class RealtimeTimeouts:
    """Waits of a pipeline or a realtime socket, in seconds of monotonic time."""

    first_event_s: float = 5.0
    """Pipeline: from the request to its first event. The gateway's own budget for all is 1 s."""
    between_events_s: float = 3.0
    """Pipeline: between two events, beyond what has been received as playing time."""
    turn_s: float = 8.0
    """Pipeline: from the request to the first word or sound, retries included."""
    quiet_s: float = 0.7
    """Socket: silence after the received audio has played that ends a reply, for want of a
    marker."""
    interrupt_gap_s: float = 0.2
    """Socket: silence after an interruption from which on audio belongs to the next reply."""
    reconnect_s: float = 8.0
    """Socket: from losing it to giving up."""
    heartbeat_s: float = 10.0
    """Socket: ping interval; a pong has half of it to arrive."""
    send_s: float = 5.0
    """Socket: a write that takes longer means that the peer no longer reads."""
    close_s: float = 0.5
    """Socket: the server's answer to our close frame."""

    def __post_init__(self) -> None:
        require_positive(self)
