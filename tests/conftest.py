"""What every test gets: no leaked tasks, and none of the machine's own settings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

_GRACE_S = 1.0
_FOREIGN = ("LIVEKIT_", "AIGATEWAY_", "GATEFLOW_", "DEEPGRAM_", "OPENAI_", "ELEVEN_", "AGENT_")
_KEPT = ("LIVEKIT_SERVER_BIN",)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_FOREIGN) and name not in _KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def _no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    leaked = _others(before)
    if leaked:
        # Tasks that were cancelled a moment ago still need a turn of the loop to end.
        await asyncio.wait(leaked, timeout=_GRACE_S)
    names = sorted(repr(task) for task in _others(before))
    assert not names, f"leaked tasks: {names}"


def _others(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() - before if task is not current}
