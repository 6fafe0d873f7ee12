"""Plain counters that an agent can read at any time; nothing here is a label or a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class STTStats:
    """What an ``STT`` and its streams have met. Counts only ever grow."""

    connections: int = 0
    """Handshakes done, spares included."""
    reconnects: int = 0
    """Live sockets that were lost and replaced, with a replay."""
    replayed_s: float = 0.0
    """Seconds of audio sent a second time."""
    dropped_s: float = 0.0
    """Seconds of audio that fell out of the replay ring before a final covered them: words lost."""
    bad_frames: int = 0
    """Messages that did not decode, and binary messages, which this wire form does not have."""
    duplicate_finals: int = 0
    """Finals that repeated one already passed on, and were not passed on again."""
    promoted_interims: int = 0
    """Utterances whose final never came before the end, ended with their last interim instead."""
    sent_bytes: int = 0
    """Bytes of audio sent, without the few that a socket adds to each message."""
    keepalives: int = 0
    """Messages sent only to keep a quiet socket open."""


@dataclass
class TTSStats:
    """What a ``TTS`` and its streams have met. Counts only ever grow."""

    connections: int = 0
    """Handshakes done, spares included."""
    spares_taken: int = 0
    """Replies that started on a warm socket: no handshake on the way to the first sound."""
    cold_starts: int = 0
    """Replies that had to wait for a handshake."""
    resumes: int = 0
    """Replies continued on another socket after audio had been spoken."""
    bad_frames: int = 0
    """Text messages that did not decode."""
    quiet_ends: int = 0
    """Replies whose end was inferred from quiet, for want of a marker."""
