"""What a plugin does about every fault it meets: one count, one log event, one call to who asked.

A fault is noted where it is met, healed or not: what a plugin heals is not an error of the call,
and yet somebody has to see that the gateway misbehaves. Nothing of what was said, no address and
no text of the peer's is part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Literal, TypeAlias

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from .errors import (
    ConnectionLostError,
    NoAudioError,
    PacedOutError,
    ProtocolError,
    StalledError,
)
from .log import logger

Stage: TypeAlias = Literal["stt", "llm", "tts", "realtime"]

_FIRST_CLOSE_CODE = 1000
"""Status codes from here on are WebSocket close codes, which ``APIStatusError`` carries too."""


class FaultKind(StrEnum):
    """What went wrong, as a metric's label has it."""

    NOT_CONNECTED = "not_connected"
    """A handshake or request found nobody there: refused, no such name, TLS."""
    CONNECTION_LOST = "connection_lost"
    """A live connection ended without a goodbye."""
    CLOSED = "closed"
    """The peer closed a live socket while something was owed."""
    STALLED = "stalled"
    """A live connection fell silent while something was owed."""
    TIMED_OUT = "timed_out"
    """Nothing came in time."""
    PROTOCOL = "protocol"
    """What came could not be understood, and the connection or answer was given up for it."""
    BAD_FRAME = "bad_frame"
    """One message could not be understood and was left out."""
    TRUNCATED = "truncated"
    """An answer ended in the middle."""
    NO_AUDIO = "no_audio"
    """Text was accepted, and no sound came for it."""
    RATE_LIMITED = "rate_limited"
    """HTTP 429."""
    PACED_OUT = "paced_out"
    """Not sent: the account's own pace left no room in time."""
    REJECTED = "rejected"
    """Any other HTTP status from 300 to 499: asking again changes nothing."""
    SERVER_ERROR = "server_error"
    """HTTP 500 and above, or an error message over a live socket."""
    REPEATED_FINAL = "repeated_final"
    """A final came again and was not passed on again."""
    MISSING_FINAL = "missing_final"
    """An utterance's final never came; its last interim stood in for it."""
    SPEECH_LOST = "speech_lost"
    """An outage outlasted the replay ring: words are gone."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that was met.

    Attributes:
        stage: Which stage met it.
        kind: What it was.
        status: HTTP status or close code, if it had one.
    """

    stage: Stage
    kind: FaultKind
    status: int | None = None


def kind_of(error: APIError) -> FaultKind:
    """The kind of fault that an error stands for."""
    match error:
        case StalledError():
            return FaultKind.STALLED
        case ConnectionLostError():
            return FaultKind.CONNECTION_LOST
        case ProtocolError():
            return FaultKind.PROTOCOL
        case NoAudioError():
            return FaultKind.NO_AUDIO
        case PacedOutError():
            return FaultKind.PACED_OUT
        case APITimeoutError():
            return FaultKind.TIMED_OUT
        case APIStatusError() if error.status_code >= _FIRST_CLOSE_CODE:
            return FaultKind.CLOSED
        case APIStatusError(status_code=HTTPStatus.TOO_MANY_REQUESTS):
            return FaultKind.RATE_LIMITED
        case APIStatusError() if HTTPStatus.MULTIPLE_CHOICES <= error.status_code < 500:
            return FaultKind.REJECTED
        case APIConnectionError():
            return FaultKind.NOT_CONNECTED
    return FaultKind.SERVER_ERROR


class FaultLog:
    """The faults that one plugin object has met.

    Args:
        stage: Which stage the object serves.
        provider: Whose gateway it asks, for the log.
    """

    def __init__(self, *, stage: Stage, provider: str) -> None:
        self.counts = Counter[FaultKind]()
        """How often each kind was met. Counts only ever grow."""
        self.provider = provider
        """Whose gateway is asked."""
        self._stage: Stage = stage
        self._listeners: list[Callable[[Fault], None]] = []

    def subscribe(self, listener: Callable[[Fault], None]) -> None:
        """Call ``listener`` with every fault from now on, in the event loop; it must not raise."""
        self._listeners.append(listener)

    def note(self, kind: FaultKind, *, status: int | None = None) -> None:
        """Note a fault."""
        self.counts[kind] += 1
        extra = {"stage": self._stage, "fault": kind.value, "provider": self.provider}
        logger.warning("fault", extra=extra if status is None else {**extra, "status": status})
        for listener in self._listeners:
            listener(Fault(stage=self._stage, kind=kind, status=status))

    def note_error(self, error: APIError) -> None:
        """Note the fault that an error stands for."""
        status = error.status_code if isinstance(error, APIStatusError) else None
        self.note(kind_of(error), status=status)
