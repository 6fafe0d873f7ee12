"""What can go wrong in a call, each with one sentence for a person."""

from __future__ import annotations


class CallerError(Exception):
    """The message is one clear sentence, with what to do next where there is something to do."""


class ServerUnreachable(CallerError):
    """The LiveKit server did not let the caller in."""


class AgentMissing(CallerError):
    """Nobody came to answer."""


class NoReply(CallerError):
    """The agent did not speak (or did not stop speaking) in time."""


class CallEnded(CallerError):
    """The other side hung up."""


LOCAL_MISSING = "install the project with its `local` extra."
"""What to do when the packages of the local speech engines are not there."""
