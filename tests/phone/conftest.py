"""Real telephone calls: livekit-server, livekit-sip, Redis, the gateway's engines, the worker.

One stack serves all tests of the folder, so these tests share one event loop. What is missing is
built or installed first; that it cannot be is an error, never a skip.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.phone.trunks import Outbound
from caller.ears import Ears
from caller.phone import PhoneCaller
from caller.sip.network import PERFECT, Line
from caller.sip.phone import Phone
from caller.sip.sdp import Codec
from caller.voice import Voice
from demo import debian, sip_bridge
from demo.phone import Extension, connect_number
from demo.processes import ProcessError
from demo.stack import Ports, Stack, StackConfig
from tests.phone.mind import Mind
from tests.real_time import (
    in_real_time,
    quiet_before_another_try,  # noqa: F401 - a fixture that tests get by being here
)
from tests.session_loop import no_leaked_tasks

MAX_CALLS = 4
PIN, CUSTOMER = "4711", "peter@example.com"
CALENDAR, ORDER, PROOF, PERSON = "1", "2", "3", "4"
MENU = {
    CALENDAR: "What is on my calendar tomorrow?",
    ORDER: "Please order the usual.",
    PROOF: "Please check who I am.",
    PERSON: "Please transfer me to a person.",
}
"""Keys that stand for words: quicker than to say them, and never misheard."""
SECOND = "200"
"""Number of the second phone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_real_time(items, Path(__file__).parent, timeout_s=240)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _no_leaked_tasks() -> AsyncIterator[None]:
    async with no_leaked_tasks():
        yield


@pytest.fixture(scope="session")
def bridge() -> None:
    """Redis and livekit-sip, installed and built once."""
    try:
        sip_bridge.ensure(print)
    except debian.PackagesMissing as e:
        pytest.fail(str(e))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def only_mind() -> AsyncIterator[Mind]:
    async with Mind() as running:
        yield running


@pytest.fixture
def mind(only_mind: Mind) -> Iterator[Mind]:
    """What the agent thinks with; it does as the local brain where a test says nothing else."""
    yield only_mind
    only_mind.calls.clear()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def second_phone() -> AsyncIterator[Phone]:
    async with Phone(user=SECOND) as phone:
        yield phone


@pytest_asyncio.fixture(loop_scope="session")
async def second(second_phone: Phone) -> AsyncIterator[Phone]:
    """A phone that calls are passed on to, and that the agent calls."""
    yield second_phone
    for call in second_phone.calls:
        await call.aclose()
    second_phone.calls.clear()


def worker_env(second: Phone, folder: Path) -> dict[str, str]:
    transfers = {
        "support": {"to": second.uri},
        "sales": {"to": SECOND, "warm": True},
    }
    return {
        "AGENT_GREETING": "What can I do for you?",
        "AGENT_PHONE_MAX_CALLS": str(MAX_CALLS),
        "AGENT_PHONE_LINES_PATH": str(folder / "lines"),
        "AGENT_PHONE_ALLOW": SECOND,
        "AGENT_PHONE_TRANSFERS": json.dumps(transfers),
        "AGENT_PHONE_MENU": json.dumps(MENU),
        "AGENT_PHONE_PINS": json.dumps({CUSTOMER: PIN}),
        "AGENT_PHONE_RING_S": "10",
        "AGENT_PHONE_ACCEPT_S": "8",
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    bridge: None, only_mind: Mind, second_phone: Phone, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    config = StackConfig(
        ports=Ports.free(),
        worker_env=worker_env(second_phone, tmp_path_factory.mktemp("phone")),
        gateway_args=["--llm-url", only_mind.url],
        phone=True,
        max_calls=2 * MAX_CALLS,
    )
    try:
        async with Stack(config) as running:
            yield running
    except ProcessError as e:
        pytest.fail(str(e))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def extension(stack: Stack, second_phone: Phone) -> Extension:
    host, port = second_phone.endpoint.address
    return await connect_number(stack, outbound=Outbound(address=f"{host}:{port}", numbers=["100"]))


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
def call(extension: Extension, voice: Voice) -> Callable[..., PhoneCaller]:
    """Someone who calls the agent: `async with call() as caller`."""

    def make(*, number: str = "caller", codec: Codec = "PCMU", line: Line = PERFECT) -> PhoneCaller:
        return PhoneCaller(
            extension.uri,
            voice=voice,
            number=number,
            credentials=extension.credentials,
            codecs=(codec,),
            line=line,
        )

    return make
