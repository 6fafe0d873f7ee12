"""What tests in real time share: how long, how often, and on what machine they are tried."""

from __future__ import annotations

from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import pytest_asyncio

from bench.usage import quiet_machine

_RERUNS = 2
"""What fails three times in a row fails."""


def in_real_time(items: list[pytest.Item], folder: Path, *, timeout_s: int) -> None:
    """Mark the tests of a folder: they share one event loop, and others share their machine.

    Args:
        items: The session's tests.
        folder: Those below it are marked.
        timeout_s: What a test may take; what its fixtures take is theirs.
    """
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.timeout(timeout_s, func_only=True))
            item.add_marker(pytest.mark.flaky(reruns=_RERUNS))
            if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def quiet_before_another_try(request: pytest.FixtureRequest) -> None:
    """What failed is tried again when others have left the machine, not in the same rush."""
    if getattr(request.node, "execution_count", 1) > 1:
        await quiet_machine()
