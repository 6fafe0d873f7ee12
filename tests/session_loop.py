"""What tests need that share one event loop, and a stack on it, with others of their session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from demo.processes import LOG_TASK


@asynccontextmanager
async def no_leaked_tasks() -> AsyncIterator[None]:
    """The session's loop holds the stack's own tasks; what a test adds must be gone after it."""
    before = asyncio.all_tasks()
    yield
    current = asyncio.current_task()
    leaked = {task for task in asyncio.all_tasks() - before if task is not current}
    # A child that was started meanwhile (a worker that serves the next test, a Redis that came
    # back) is the stack's, which reads its log to the end.
    leaked -= {task for task in leaked if task.get_name().startswith(LOG_TASK)}
    if leaked:
        await asyncio.wait(leaked, timeout=2.0)
    assert not [task for task in leaked if not task.done()]
