"""Real rooms: a real media server, the local gateway's real engines and the real worker.

One stack serves all tests of a session, so these tests share one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import pytest_asyncio
from livekit.agents.utils import shortuuid

from caller.ears import Ears
from caller.room import Caller
from caller.voice import Voice
from demo.processes import LOG_TASK
from demo.stack import Ports, Stack, StackConfig

LONGEST_FIRST = ("test_drills", "test_profiles", "test_conversation", "test_demo")
DRILL_GROUPS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        item.add_marker(pytest.mark.timeout(180))
        # Real time on a shared machine: what fails three times in a row fails.
        item.add_marker(pytest.mark.flaky(reruns=2))
        if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    here.sort(key=_place)
    items[:] = [item for item in items if item not in here] + here


def _group(item: pytest.Item) -> str:
    """What one of two processes does in one go, over a stack of its own: calls are mostly waiting.

    A file, but for the drills, which take longest.
    """
    name = item.path.stem
    if name == "test_drills" and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        return f"{name} {item.callspec.indices['drills'] % DRILL_GROUPS}"
    return name


def _place(item: pytest.Item) -> int:
    name = item.path.stem
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _no_leaked_tasks() -> AsyncIterator[None]:
    """The session's loop holds the stack's own tasks; what a test adds must be gone after it."""
    before = asyncio.all_tasks()
    yield
    current = asyncio.current_task()
    leaked = {task for task in asyncio.all_tasks() - before if task is not current}
    # a worker that serves the next test is a child of the stack, which reads its log to the end
    leaked -= {task for task in leaked if task.get_name().startswith(LOG_TASK)}
    if leaked:
        await asyncio.wait(leaked, timeout=2.0)
    assert not [task for task in leaked if not task.done()]


@pytest.fixture(scope="session")
def metrics_port() -> int:
    """The Prometheus page of the stack's worker."""
    return Ports.free().gateway


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    metrics_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("metrics")
    env = {"AGENT_METRICS_PORT": str(metrics_port), "AGENT_METRICS": str(folder)}
    async with Stack(StackConfig(ports=Ports.free(), worker_env=env)) as running:
        yield running


@pytest.fixture(scope="session")
def voice() -> Voice:
    return Voice()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ears() -> AsyncIterator[Ears]:
    own = Ears()
    await own.load()
    yield own
    own.close()


@pytest.fixture
def call(stack: Stack, voice: Voice) -> Callable[..., Caller]:
    """A caller for a room of its own: `async with call() as caller`."""

    def make(room: str = "") -> Caller:
        return Caller(
            stack.livekit_url,
            stack.api_key,
            stack.api_secret,
            room=room or shortuuid("test-"),
            voice=voice,
        )

    return make
