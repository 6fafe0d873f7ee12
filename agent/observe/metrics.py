"""Prometheus metrics of a worker, under `AGENT_METRICS_PORT`. No label holds anything personal.

Job processes write into the folder that the framework names in `PROMETHEUS_MULTIPROC_DIR`; the
worker's page adds them up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from livekit.plugins.gatewaykit.faults import Fault, FaultLog
from prometheus_client import Counter, Gauge, Histogram

from .record import TurnRecord

_REPLY_BUCKETS_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0)
_PART_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0)

FAULTS = Counter(
    "parley_faults",
    "Faults that the plugins met, healed ones included",
    ["stage", "provider", "fault"],
)
GUARD = Counter(
    "parley_guard_actions",
    "What the caller was told because something failed or was late",
    ["action", "stage"],
)
ROUTE_STATES = Counter(
    "parley_route_states",
    "States that routes entered: down, up; their breakers: open, half_open, closed",
    ["stage", "route", "state"],
)
ROUTE_SWITCHES = Counter(
    "parley_route_switches",
    "Requests that went on with another route of their chain",
    ["stage", "failed", "next"],
)
ROUTE_TURNS = Counter("parley_route_turns", "Turns by the routes that served", ["stage", "route"])
REPLY_S = Histogram(
    "parley_reply_seconds",
    "From the caller's end of speech to the agent's first sound, as the caller hears it",
    buckets=_REPLY_BUCKETS_S,
)
PART_S = Histogram(
    "parley_turn_part_seconds",
    "The parts of that time",
    ["part"],
    buckets=_PART_BUCKETS_S,
)
OPENERS = Counter("parley_openers", "Replies by how they began", ["result"])
OPENER_CHARACTERS = Counter(
    "parley_opener_characters_saved", "Characters of replies that came from kept audio"
)
LLM_REQUESTS = Counter("parley_turn_llm_requests", "Model requests for turns, discarded included")
HEDGED_REQUESTS = Counter(
    "parley_hedged_requests", "Model requests that lost the race against another route"
)
HEDGED_TOKENS = Counter("parley_hedged_tokens", "Input tokens that those cost")
TURNS = Counter("parley_turns", "Turns that were answered", ["interrupted"])
CALLS = Counter("parley_calls", "Calls that have ended", ["reason"])
CALLS_OPEN = Gauge("parley_calls_open", "Calls in progress", multiprocess_mode="livesum")


def watch_faults(plugins: Iterable[object]) -> None:
    """Count the faults that these plugins meet; those of other makers tell nothing."""
    for plugin in plugins:
        log: Any = getattr(plugin, "faults", None)
        if isinstance(log, FaultLog):
            log.subscribe(partial(_count_fault, log.provider))


def observe_turn(record: TurnRecord) -> None:
    """Take the numbers of one turn."""
    REPLY_S.observe(record.total_ms / 1000)
    for part in record.parts:
        PART_S.labels(part.name).observe(part.ms / 1000)
    OPENERS.labels(record.opener).inc()
    OPENER_CHARACTERS.inc(record.characters_saved)
    LLM_REQUESTS.inc(record.llm_requests)
    HEDGED_REQUESTS.inc(record.hedged_requests)
    HEDGED_TOKENS.inc(record.hedged_tokens)
    for stage, routes in record.routes.items():
        for route in routes:
            ROUTE_TURNS.labels(stage, route).inc()
    TURNS.labels(str(record.interrupted).lower()).inc()


def _count_fault(provider: str, fault: Fault) -> None:
    FAULTS.labels(fault.stage, provider, fault.kind.value).inc()
