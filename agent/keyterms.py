"""Words that callers are about to say: names that the tools have found, for the recogniser."""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession

from .tools.store import Result

_NAMES = ("item", "destination")
"""Members of a tool's result that are names."""

MAX_KEYTERMS = 50
"""Deepgram takes 500 tokens of keyterms; a name has up to ten."""


def expect_names(session: AgentSession[Any], result: Result) -> None:
    """Tell the session's recogniser the names in a tool's result; the newest win over the oldest.

    A recogniser that takes no keyterms is not told: LiveKit's base class says so in the log, once.
    """
    names = [str(result[member]) for member in _NAMES if result.get(member)]
    known = session.keyterms
    terms = list(dict.fromkeys([*known, *names]))[-MAX_KEYTERMS:]
    if terms != known:
        session.update_options(keyterms=terms)
