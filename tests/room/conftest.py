"""Real rooms: a real media server, the local gateway's real engines and the real worker.

One stack serves all tests of a session, so these tests share one event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from livekit.agents.utils import shortuuid

from caller.ears import Ears
from caller.room import Caller
from caller.voice import Voice
from demo.stack import Ports, Stack, StackConfig
from tests.real_time import (
    in_real_time,
    quiet_before_another_try,  # noqa: F401 - a fixture that tests get by being here
)
from tests.session_loop import no_leaked_tasks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_real_time(items, Path(__file__).parent, timeout_s=180)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _no_leaked_tasks() -> AsyncIterator[None]:
    async with no_leaked_tasks():
        yield


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
