"""An event loop whose clock jumps to the next timer: tests of deadlines never sleep."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now = 1_000.0

    def time(self) -> float:
        return self.now


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everything waits and nothing is due: the test would hang")
        if not events and timeout:
            self._loop.now += timeout
        return events


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on a loop of its own with virtual time."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
