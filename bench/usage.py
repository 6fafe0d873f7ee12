"""What processes cost: CPU and memory of a whole tree, and the load that others cause."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from types import TracebackType
from typing import Self

import psutil

SAMPLE_S = 0.25
"""A process that lives for less may go uncounted."""
MAX_FOREIGN_LOAD = 0.10
"""Share of all cores that processes which are not ours may take, in any call, before the numbers
are called invalid."""
_QUIET_PATIENCE_S = 90.0


class TreeUsage:
    """CPU seconds and memory of a process with everything under it, while the block lasts.

    Processes are counted by id and start time, so that one which has ended keeps its share.

    Args:
        pid: The root of the tree.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._first: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None
        self.elapsed_s = 0.0
        self.pss_mb = 0.0
        """Proportional set size, MB: pages that processes share are counted once."""

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the tree has used since the block was entered."""
        return sum(last - self._first.get(key, 0.0) for key, last in self._last.items())

    async def __aenter__(self) -> Self:
        self._sample()
        self._first = dict(self._last)
        self._began = time.monotonic()
        self._task = asyncio.create_task(self._watch(), name="bench usage")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._sample()
        self.elapsed_s = time.monotonic() - self._began
        # Once, at the end: reading it walks the page tables and would be felt in a turn.
        self.pss_mb = await asyncio.to_thread(self._pss_mb)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._sample()

    def _sample(self) -> None:
        for process in _tree(self._root):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._last[process.pid, process.create_time()] = times.user + times.system

    def _pss_mb(self) -> float:
        total = 0
        for process in _tree(self._root):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total / 1e6


class ForeignLoad:
    """The share of the machine that everybody else takes, from one `lap` to the next."""

    def __init__(self) -> None:
        self._own = TreeUsage(os.getpid())
        self._busy = _busy_s()
        self._began = time.monotonic()
        self._before = 0.0

    async def __aenter__(self) -> Self:
        await self._own.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._own.__aexit__(kind, error, trace)

    def lap(self) -> float:
        """Share of all cores that others took since the last lap, 0 to 1."""
        busy, now, own = _busy_s(), time.monotonic(), self._own.cpu_s
        foreign = (busy - self._busy) - (own - self._before)
        share = foreign / ((now - self._began) * (os.cpu_count() or 1))
        self._busy, self._began, self._before = busy, now, own
        return max(0.0, share)


async def quiet_machine() -> None:
    """Wait until others leave the machine to us for a second, or have not done so for long."""
    with contextlib.suppress(TimeoutError):
        async with ForeignLoad() as foreign, asyncio.timeout(_QUIET_PATIENCE_S):
            await asyncio.sleep(1.0)
            while foreign.lap() > MAX_FOREIGN_LOAD:  # noqa: ASYNC110 - nothing else to await
                await asyncio.sleep(1.0)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
