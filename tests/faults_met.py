"""The faults that a plugin says it has met, told four ways that must agree."""

from __future__ import annotations

import logging
from types import SimpleNamespace, TracebackType

from livekit.plugins.gatewaykit.faults import Fault, FaultKind, FaultLog
from livekit.plugins.gatewaykit.log import logger
from prometheus_client import REGISTRY

from agent.observe.metrics import watch_faults


class FaultsMet(logging.Handler):
    """Watches one plugin object: its count, its log events, what it tells a subscriber, and the
    worker's Prometheus metric.

    Use as a context manager; on the way out the four are compared once more.

    Args:
        log: The plugin's.
    """

    def __init__(self, log: FaultLog) -> None:
        super().__init__()
        self._log = log
        self._logged: list[str] = []
        self._told: list[Fault] = []
        log.subscribe(self._told.append)
        watch_faults([SimpleNamespace(faults=log)])
        self._metric_before = {kind: self._metric(kind) for kind in FaultKind}

    def _metric(self, kind: FaultKind) -> float:
        labels = {"stage": self._log._stage, "provider": self._log.provider, "fault": kind.value}
        return REGISTRY.get_sample_value("parley_faults_total", labels) or 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "fault" and record.__dict__["stage"] == self._log._stage:
            self._logged.append(record.__dict__["fault"])

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind was met: one count, one log event and one call for each."""
        counts = {kind.value: count for kind, count in self._log.counts.items()}
        assert sorted(self._logged) == sorted(
            k for k, count in counts.items() for _ in range(count)
        )
        assert [fault.kind.value for fault in self._told] == self._logged
        for kind, before in self._metric_before.items():
            assert self._metric(kind) - before == self._log.counts[kind]
        return counts

    def __enter__(self) -> FaultsMet:
        logger.addHandler(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logger.removeHandler(self)
        if exc is None:
            assert self.counts is not None
