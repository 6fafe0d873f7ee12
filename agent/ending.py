"""Why a call ended, as the log and the metrics have it.

The framework knows only that the application closed the session, whoever hung up.
"""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """Who ended the call. What is not here has the framework's reason, such as job_shutdown."""

    CALLER_HUNG_UP = "caller_hung_up"
    """By the button, or by leaving for good."""
    CALLER_AWAY = "caller_away"
    """The caller's page was lost and did not come back in time."""
    AGENT_HUNG_UP = "agent_hung_up"
    """After a goodbye."""
    GAVE_UP = "gave_up"
    """The agent said that nothing works."""
