"""The faults that a plugin says it has met, told three ways that must agree."""

from __future__ import annotations

import logging
from types import TracebackType

from livekit.plugins.gatewaykit.faults import Fault, FaultLog
from livekit.plugins.gatewaykit.log import logger


class FaultsMet(logging.Handler):
    """Watches one plugin object: its metric, its log events and what it tells a subscriber.

    Use as a context manager; on the way out the three are compared once more.

    Args:
        log: The plugin's.
    """

    def __init__(self, log: FaultLog) -> None:
        super().__init__()
        self._log = log
        self._logged: list[str] = []
        self._told: list[Fault] = []
        log.subscribe(self._told.append)

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "fault" and record.__dict__["stage"] == self._log._stage:
            self._logged.append(record.__dict__["fault"])

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind was met: one metric, one log event and one call for each."""
        counts = {kind.value: count for kind, count in self._log.counts.items()}
        assert sorted(self._logged) == sorted(
            k for k, count in counts.items() for _ in range(count)
        )
        assert [fault.kind.value for fault in self._told] == self._logged
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
