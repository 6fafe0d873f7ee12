"""Errors inside an answer: ``{"type": "error", "message", "recoverable"}``."""

from __future__ import annotations

from dataclasses import replace

from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.envelope import decode_error as decode_any_error


def decode_error(obj: dict[str, object]) -> ErrorMessage | None:
    """The error that ``obj`` reports, or ``None`` when it is none.

    What does not say that it is recoverable is final, as in the gateway's documentation, unless it
    carries a code or a status, which then decides.

    Raises:
        ProtocolError: It is one, and its members have the wrong types.
    """
    error = decode_any_error(obj)
    if error is None or error.recoverable is not None or error.code or error.status:
        return error
    return replace(error, recoverable=False)
