from __future__ import annotations

import logging

import pytest
from livekit.agents import APIStatusError
from livekit.plugins.gatewaykit.errors import StalledError
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from prometheus_client import REGISTRY

from agent.observe import metrics
from agent.observe.events import GuardAction, guard_acted
from agent.observe.record import Part, TurnRecord


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class _Plugin:
    def __init__(self) -> None:
        self.faults = FaultLog(stage="stt", provider="unit-test")


def test_a_fault_is_one_count_one_log_event_and_one_metric(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = _Plugin()
    metrics.watch_faults([plugin, object()])
    with caplog.at_level(logging.WARNING, "livekit.plugins.gatewaykit"):
        plugin.faults.note_error(StalledError("canary"))
    assert plugin.faults.counts == {FaultKind.STALLED: 1}
    assert [record.getMessage() for record in caplog.records] == ["fault"]
    assert vars(caplog.records[0]) | {"fault": "stalled", "stage": "stt"} == vars(caplog.records[0])
    labels = {"stage": "stt", "provider": "unit-test", "fault": "stalled"}
    assert _value("parley_faults_total", **labels) == 1


def test_what_a_guard_did_is_counted_and_logged_without_the_errors_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = _value("parley_guard_actions_total", action="apology", stage="llm")
    with caplog.at_level(logging.INFO, "parley.guard"):
        error = APIStatusError("canary", status_code=503)
        guard_acted(GuardAction.APOLOGY, stage="llm", error=error)
    assert _value("parley_guard_actions_total", action="apology", stage="llm") == before + 1
    record = caplog.records[0]
    assert record.getMessage() == "apology"
    assert "canary" not in repr(vars(record))
    assert vars(record)["status"] == 503


def test_a_turn_becomes_its_parts() -> None:
    count = _value("parley_reply_seconds_count")
    waited = _value("parley_turn_part_seconds_sum", part="llm")
    parts = (Part(name="stt", ms=140.0), Part(name="llm", ms=320.0))
    metrics.observe_turn(TurnRecord(turn=1, total_ms=460.0, parts=parts, llm_requests=2))
    assert _value("parley_reply_seconds_count") == count + 1
    assert _value("parley_turn_part_seconds_sum", part="llm") == pytest.approx(waited + 0.32)
