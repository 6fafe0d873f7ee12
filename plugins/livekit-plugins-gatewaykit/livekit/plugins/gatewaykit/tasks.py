"""Running a few coroutines that live and die together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from livekit.agents import utils

T = TypeVar("T")


async def run_beside(main: Coroutine[None, None, T], *helpers: Coroutine[None, None, None]) -> T:
    """Run ``main`` to its end with ``helpers`` beside it.

    A helper that returns is done; one that raises ends ``main`` with its error. No task outlives
    the call, however it ends.
    """
    main_task = asyncio.ensure_future(main)
    tasks: list[asyncio.Task[object]] = [main_task]
    tasks += [asyncio.ensure_future(helper) for helper in helpers]
    pending = set(tasks)
    try:
        while not main_task.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        return main_task.result()
    finally:
        await utils.aio.cancel_and_wait(*tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # two may fail at once; the second must not be reported as lost
