"""What became of a call that was placed or passed on."""

from __future__ import annotations

from enum import StrEnum

from livekit import api

_BUSY = {486, 600}
_NO_ANSWER = {408, 480, 487, 504}


class Outcome(StrEnum):
    """How it ended."""

    ANSWERED = "answered"
    BUSY = "busy"
    REJECTED = "rejected"
    NO_ANSWER = "no_answer"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    """For a reason on our side, or on the way."""


SPOKEN = {
    Outcome.BUSY: "is busy right now",
    Outcome.REJECTED: "cannot take the call",
    Outcome.NO_ANSWER: "does not answer",
    Outcome.VOICEMAIL: "does not answer",
    Outcome.FAILED: "cannot be reached right now",
}
"""How a failure is told to the caller, after the name."""


def outcome_of(error: api.ServerError | TimeoutError) -> Outcome:
    """What an error of the LiveKit server's says about the other side."""
    if isinstance(error, TimeoutError):
        return Outcome.NO_ANSWER
    if isinstance(error, api.SipCallError):
        status = error.sip_status_code
        if status in _BUSY:
            return Outcome.BUSY
        if status in _NO_ANSWER or error.sip_transfer_reason == "STR_RINGING_TIMEOUT":
            return Outcome.NO_ANSWER
        if status is not None and 400 <= status < 700 and status not in (500, 502, 503):
            return Outcome.REJECTED
        return Outcome.FAILED
    return Outcome.NO_ANSWER if error.code in ("deadline_exceeded", "canceled") else Outcome.FAILED
