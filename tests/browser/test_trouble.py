"""Whatever breaks: the call goes on, or the page says what happened and what to do next."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio
from livekit import api
from playwright.async_api import expect

from agent.web.server import WebServer
from demo.stack import HOST, Stack
from tests.browser.conftest import Arrive
from tests.browser.visitor import TABLET, Visitor
from tests.browser.wire import Wire

OFFLINE_S = 10.0
REJOIN_S = 3.0
"""Longer than an agent that has left is waited for."""
REGISTER_S = 60.0


@pytest_asyncio.fixture(loop_scope="session")
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    """The page's connection to the media server, but for the sound."""
    async with Wire(stack.config.ports.livekit) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def wired_page(stack: Stack, wire: Wire) -> AsyncIterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_WEB_LIVEKIT_URL", f"ws://{HOST}:{wire.port}")
        server = stack.page_server(port=0)
    async with server:
        yield server.url


async def test_lines_break_and_pages_reload(arrive: Arrive, wired_page: str, wire: Wire) -> None:
    """Two visitors side by side: most of it is waiting."""
    async with asyncio.TaskGroup() as both:
        both.create_task(keeps_the_call(await arrive(url=wired_page), wire))
        both.create_task(comes_back_by_choice(await arrive(), arrive))


async def keeps_the_call(visitor: Visitor, wire: Wire) -> None:
    """Ten seconds without a network, then a reconnect from the very beginning."""
    await visitor.call()
    room = await visitor.page.evaluate("parley.call.room.getSid()")
    await visitor.page.context.set_offline(True)
    wire.cut()
    await visitor.is_told_now("offline")
    await asyncio.sleep(OFFLINE_S)
    await visitor.page.context.set_offline(False)
    await visitor.is_told("signal-lost")
    wire.mend()
    await expect(visitor.notice).to_have_count(0)
    await visitor.asks_and_is_answered()

    # The client is to join anew instead of resuming, and cannot do so at once.
    await visitor.page.evaluate("parley.call.room.engine.fullReconnectOnNext = true")
    wire.cut()
    await asyncio.sleep(REJOIN_S)
    assert await visitor.page.evaluate("!parley.call.agent")
    wire.mend()
    await visitor.until("() => parley.call.room.state === 'connected' && parley.call.agent")
    await visitor.asks_and_is_answered()
    assert await visitor.page.evaluate("parley.call.room.getSid()") == room
    assert set(await visitor.causes_shown()) <= {"offline", "signal-lost", "media-lost"}
    await expect(visitor.notice).to_have_count(0)


async def comes_back_by_choice(visitor: Visitor, arrive: Arrive) -> None:
    await visitor.call()
    room = await visitor.page.evaluate("parley.call.room.getSid()")
    await visitor.page.reload()
    await visitor.press("Continue the call")
    await visitor.sees("agent", "still here")
    assert await visitor.page.evaluate("parley.call.room.getSid()") == room
    await visitor.is_greeted()  # what was said before is still there

    second = await opens_the_same_call(arrive, visitor)
    await visitor.is_told_now("elsewhere")
    await second.asks_and_is_answered()
    await second.pictured("tablet")

    await second.page.evaluate("parley.call.roomSid = 'RM_ofACallThatIsOver'")
    await second.page.reload()
    await second.press("Continue the call")
    await second.is_told_now("resume-other")

    await second.page.reload()
    await second.press("Start a new call")
    await second.is_greeted()
    assert await second.page.evaluate("parley.call.room.getSid()") != room


async def opens_the_same_call(arrive: Arrive, visitor: Visitor) -> Visitor:
    """Another window that continues the visitor's call."""
    second = await arrive(viewport=TABLET)
    await second.open()
    token = await visitor.page.evaluate("parley.call.seat.resume_token")
    await second.page.evaluate(
        "([token, sid]) => sessionStorage.setItem('parley.call', JSON.stringify({ resume_token:"
        " token, room_sid: sid, left_at: Date.now(), within_s: 60, captions: [] }))",
        [token, await visitor.page.evaluate("parley.call.roomSid")],
    )
    await second.page.reload()
    await second.press("Continue the call")
    await second.sees("agent", "still here")
    return second


@pytest_asyncio.fixture(loop_scope="session")
async def lonely_page(stack: Stack) -> AsyncIterator[WebServer]:
    """A page whose calls ask for an agent that there is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_WEB_AGENT_TIMEOUT_S", "2")
        server = stack.page_server(port=0, agent_name="nobody")
    async with server:
        yield server


async def finds_no_agent(visitor: Visitor, stack: Stack) -> None:
    await visitor.open()
    await visitor.page.evaluate("holdSound()")
    await visitor.talk()
    await visitor.is_told_now("no-agent")
    await visitor.press("Keep waiting")
    await expect(visitor.notice).to_have_count(0)
    await visitor.is_told_now("no-agent")

    room = await visitor.page.evaluate("parley.call.room.name")
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        await server.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(room=room))
    await visitor.is_told_now("no-sound")  # an agent came after all
    await visitor.page.evaluate("releaseSound()")
    await visitor.press("Play the sound")
    await expect(visitor.notice).to_have_count(0)
    await visitor.is_greeted()


async def test_the_agent_does_not_come_or_is_killed_and_so_is_the_server(
    arrive: Arrive, stack: Stack, lonely_page: WebServer
) -> None:
    visitor = await arrive()
    await visitor.call()
    for job in jobs(stack):
        job.kill()
    # The server takes its time to find out: another visitor's call fits into it.
    await finds_no_agent(await arrive(url=lonely_page.url), stack)
    await visitor.is_told_now("agent-left")
    await visitor.press("Start a new call")
    await visitor.is_greeted()

    server = stack.child("livekit-server")
    registered = registrations(stack)
    os.kill(server.pid, signal.SIGKILL)
    await visitor.is_told("signal-lost", "media-lost")
    await server.stop()
    await server.start()
    async with asyncio.timeout(REGISTER_S):
        while registrations(stack) == registered:
            await asyncio.sleep(0.2)
    # The page has joined anew by itself, or says that it was too late for that.
    await visitor.until(
        "() => (parley.call.room.state === 'connected' && parley.call.agent)"
        " || ['server-gone', 'no-agent'].includes("
        "document.querySelector('.notice')?.dataset.cause)"
    )
    await visitor.page.reload()
    if await visitor.notice.count():
        await visitor.press("Start a new call")
    else:
        await visitor.talk()
    await visitor.asks_and_is_answered()


def jobs(stack: Stack) -> list[psutil.Process]:
    """The worker's processes that hold a call: those connected to the media server."""
    port = stack.config.ports.livekit
    children = psutil.Process(stack.child("worker").pid).children(recursive=True)
    found = [
        child
        for child in children
        if any(
            c.status == psutil.CONN_ESTABLISHED and c.raddr.port == port
            for c in child.net_connections("tcp")
        )
    ]
    assert found, "no process holds a call"
    return found


def registrations(stack: Stack) -> int:
    """How often the worker has registered so far."""
    return stack.child("worker").log.read_text().count("registered worker")
