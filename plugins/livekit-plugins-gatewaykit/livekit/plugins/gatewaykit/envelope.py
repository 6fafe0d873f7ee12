"""What sockets share: the error envelope and the message that is none of ours.

Two error shapes are accepted: ``{"error": {...} | "text"}`` and
``{"type": "error", "message", "code" | "status", "recoverable"}``.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.agents import APIError

from .errors import ProtocolError, from_envelope
from .json import optional_bool, optional_str


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """The server reports an error on a live socket. Its prose is dropped: it may echo anything."""

    code: str | None
    status: int | None
    recoverable: bool | None

    def to_error(self, request_id: str | None = None) -> APIError:
        """The exception with the right verdict."""
        return from_envelope(
            code=self.code,
            status=self.status,
            recoverable=self.recoverable,
            request_id=request_id,
        )


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A well-formed object that this plugin has no use for."""


def _status(obj: dict[str, object]) -> int | None:
    for key in ("status", "status_code", "code"):
        value = obj.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600:
            return value
    return None


def _code(obj: dict[str, object]) -> str | None:
    for key in ("code", "type"):
        value = obj.get(key)
        if isinstance(value, str) and value.lower() != "error":
            return value
    return None


def decode_error(obj: dict[str, object]) -> ErrorMessage | None:
    """The error that ``obj`` reports, or ``None`` when it is none.

    Raises:
        ProtocolError: It is one, and its members have the wrong types.
    """
    inner = obj.get("error")
    is_typed = (optional_str(obj, "type") or "").lower() == "error"
    if inner is None and not is_typed:
        return None
    if isinstance(inner, dict):
        body: dict[str, object] = inner
    elif inner is None or isinstance(inner, str):
        body = obj
    else:
        raise ProtocolError("error is neither an object nor a string")
    recoverable = optional_bool(body, "recoverable")
    if recoverable is None:
        recoverable = optional_bool(obj, "recoverable")
    return ErrorMessage(
        code=_code(body), status=_status(body) or _status(obj), recoverable=recoverable
    )
