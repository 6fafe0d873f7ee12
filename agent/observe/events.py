"""What was done for a caller whose call was in trouble: one log event, one count each."""

from __future__ import annotations

import logging
from enum import StrEnum

from livekit.agents import APIError

from .metrics import GUARD, ROUTE_STATES, ROUTE_SWITCHES

logger = logging.getLogger("parley.guard")
_routes = logging.getLogger("parley.route")


class GuardAction(StrEnum):
    """What was done; the value is the metric's label and the log event's name."""

    FILLER = "filler"
    """The caller was told that it takes a moment."""
    HEDGE = "hedge"
    """A second route was asked as well."""
    SWITCH = "switch"
    """A route that kept the caller waiting was given up for another."""
    APOLOGY = "apology"
    """The turn was given up, and the caller was told so."""
    BROKE_OFF = "broke_off"
    """A reply that ended in the middle was closed with a sentence that says so."""
    CANNOT_HEAR = "cannot_hear"
    """The caller was told that it is not heard."""
    GIVE_UP = "give_up"
    """The agent said goodbye, because nothing works."""


def guard_acted(action: GuardAction, *, stage: str, error: APIError | None = None) -> None:
    """Note it. Of the error only its class and status: its message may quote what was said."""
    GUARD.labels(action.value, stage).inc()
    level = logging.INFO if action in (GuardAction.FILLER, GuardAction.HEDGE) else logging.WARNING
    extra: dict[str, object] = {"stage": stage}
    if error is not None:
        extra |= {"error": type(error).__name__, "status": getattr(error, "status_code", None)}
    logger.log(level, action.value, extra=extra)


def route_changed(state: str, *, stage: str, route: str) -> None:
    """Note that a route is "down" or "up" again, or the state that its breaker has entered."""
    ROUTE_STATES.labels(stage, route, state).inc()
    level = logging.INFO if state in ("up", "closed") else logging.WARNING
    _routes.log(level, "route", extra={"stage": stage, "route": route, "state": state})


def route_switched(*, stage: str, failed: str, to: str, error: APIError) -> None:
    """Note that a request goes on with another route. Of the error as little as `guard_acted`."""
    ROUTE_SWITCHES.labels(stage, failed, to).inc()
    extra = {
        "stage": stage,
        "failed": failed,
        "next": to,
        "error": type(error).__name__,
        "status": getattr(error, "status_code", None),
    }
    _routes.warning("switched", extra=extra)
