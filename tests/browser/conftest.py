"""The page in a real browser, against a media server, worker and gateway that are real too.

One stack and one browser serve all tests here; each test is a visitor with a context of its own. A
call costs a worker's process and a greeting, so a test does much within one.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from agent.web.server import PAGE, WebServer
from caller.voice import Voice
from demo.stack import Ports, Stack, StackConfig
from tests.browser.visitor import Visitor, wav
from tests.real_time import (
    in_real_time,
    quiet_before_another_try,  # noqa: F401 - a fixture that tests get by being here
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WORKER = {
    "AGENT_GREETING": "Hi, this is Parley. What can I do for you?",
    "AGENT_CALLER_RETURN_S": "12",
}
MICROPHONE_SILENCE_S = 6.0
"""Longer than the time from the button to the end of the greeting on a quiet machine; on another
one the greeting is interrupted."""

Arrive = Callable[..., Awaitable[Visitor]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_real_time(items, Path(__file__).parent, timeout_s=180)


@pytest.fixture(autouse=True)
def _no_leaked_tasks() -> None:
    """The stack, the web server and the browser's driver keep tasks in the session's loop."""


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    async with Stack(StackConfig(ports=Ports.free(), max_calls=8, worker_env=WORKER)) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def page_server(stack: Stack) -> AsyncIterator[WebServer]:
    assert (PAGE / "index.html").exists(), "no page: run `make setup` with Node.js"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_WEB_TOKENS_PER_MINUTE", "1000")
        patch.setenv("AGENT_CALLER_RETURN_S", WORKER["AGENT_CALLER_RETURN_S"])
        server = stack.page_server()
    async with server:
        yield server


@pytest.fixture(scope="package")
def voice() -> Voice:
    return Voice()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser(voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Its own microphone says goodbye, again and again; most visitors bring another one."""
    goodbye = await voice.line("Thank you. Goodbye!")
    sound = tmp_path_factory.mktemp("microphone") / "goodbye.wav"
    sound.write_bytes(wav(goodbye.samples, silence_s=MICROPHONE_SILENCE_S))
    capture = f"--use-file-for-fake-audio-capture={sound}"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=browser_path(), args=[*FLAGS, capture]
        )
        yield running
        await running.close()


def browser_path() -> str:
    """The browser; that there is none is an error, never a skip."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert found, "no Chromium: python scripts/test_parts.py"
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def arrive(browser: Browser, page_server: WebServer, voice: Voice) -> AsyncIterator[Arrive]:
    """Bring a visitor: `visitor = await arrive()`; options are the browser context's."""
    async with AsyncExitStack() as leaving:

        async def bring(
            *, url: str = page_server.url, own_microphone: bool = False, **context: object
        ) -> Visitor:
            own = await browser.new_context(**context)  # type: ignore[arg-type]  # Playwright's own names
            leaving.push_async_callback(own.close)
            await own.add_init_script(path=Path(__file__).with_name("visitor.js"))
            if not own_microphone:
                await own.add_init_script("fakeMicrophone()")
            visitor = Visitor(await own.new_page(), url=url, voice=voice)
            leaving.push_async_callback(visitor.leave)
            return visitor

        yield bring
