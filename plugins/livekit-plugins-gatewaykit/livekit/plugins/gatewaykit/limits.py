"""Waits and sizes that every gateway plugin knows, by name, with unit and origin.

All are values that can be passed to a constructor; none is a literal in the code that uses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


def require_positive(config: object) -> None:
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
        require_positive(self)


@dataclass(frozen=True, kw_only=True)
class LLMTimeouts:
    """Waits of a completion, in seconds of monotonic time.

    The wait for the first chunk and between two chunks is ``conn_options.timeout``.
    """

    total_s: float = 30.0
    """One attempt, whatever drips. A reply of three sentences takes about 3 s."""

    def __post_init__(self) -> None:
        require_positive(self)
