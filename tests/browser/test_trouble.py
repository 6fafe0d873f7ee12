"""Whatever breaks: the call goes on, or the page says what happened and what to do next."""

from __future__ import annotations

import asyncio
import re

import psutil
import pytest
from playwright.async_api import expect

from demo.stack import Stack
from tests.browser.conftest import Arrive

OFFLINE_S = 10.0


async def test_ten_seconds_offline(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.call()
    await visitor.page.context.set_offline(True)
    await visitor.is_told("offline")
    await asyncio.sleep(OFFLINE_S)
    await visitor.page.context.set_offline(False)
    await expect(visitor.page.locator(".notice")).to_have_count(0)
    await visitor.asks_and_is_answered()


@pytest.mark.parametrize("scenario", ["signal-reconnect", "full-reconnect", "resume-reconnect"])
async def test_reconnects_keep_the_call(arrive: Arrive, scenario: str) -> None:
    visitor = await arrive()
    await visitor.call()
    room = await visitor.page.evaluate("parley.call.room.getSid()")
    await visitor.page.evaluate("name => parley.call.room.simulateScenario(name)", scenario)
    await visitor.is_told("signal-lost", "media-lost")
    await visitor.until("() => parley.call.room.state === 'connected' && parley.call.agent")
    await visitor.is_listened_to()
    await visitor.asks_and_is_answered()
    assert await visitor.page.evaluate("parley.call.room.getSid()") == room


async def test_a_reload_resumes_by_choice(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.call()
    room = await visitor.page.evaluate("parley.call.room.getSid()")
    await visitor.page.reload()
    await visitor.press("Continue the call")
    await visitor.sees("agent", "still here")
    await visitor.asks_and_is_answered()
    assert await visitor.page.evaluate("parley.call.room.getSid()") == room
    first = visitor.page.locator(".line.agent").first
    await expect(first).to_contain_text("this is Parley")  # what was said before is still there

    await visitor.page.reload()
    await visitor.press("Start a new call")
    await visitor.hears_agent()
    assert await visitor.page.evaluate("parley.call.room.getSid()") != room


async def test_a_call_that_was_left_too_long_is_a_new_one(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.call()
    await visitor.page.evaluate("parley.call.roomSid = 'RM_ofAnEarlierCall'")
    await visitor.page.reload()
    await visitor.press("Continue the call")
    await visitor.is_told("resume-other")


async def test_the_worker_is_killed(arrive: Arrive, stack: Stack) -> None:
    visitor = await arrive()
    await visitor.call()
    for job in jobs(stack):
        job.kill()
    await visitor.until(
        "() => shown.notices.includes('agent-left')"
        " || document.querySelectorAll('.line.agent').length > 1"
    )
    if "agent-left" in await visitor.causes_shown():
        text = await visitor.page.locator(".notices").inner_text()
        assert re.search("agent is gone", text) or not text
        await visitor.press("Start a new call")
    await visitor.hears_agent()


async def test_the_server_goes_and_comes_back(arrive: Arrive, stack: Stack) -> None:
    visitor = await arrive()
    await visitor.call()
    server = stack.child("livekit-server")
    await server.stop()
    await visitor.is_told("signal-lost", "media-lost", "server-gone")
    await server.start()
    await visitor.until(
        "() => shown.notices.some(n => ['server-gone', 'no-agent', 'agent-left'].includes(n))"
        " || parley.call.phase === 'listening'"
    )
    await visitor.page.reload()
    new = visitor.page.get_by_role("button", name="Start a new call")
    if await new.count():
        await new.click()
    else:
        await visitor.talk()
    await visitor.hears_agent()
    await visitor.asks_and_is_answered()


def jobs(stack: Stack) -> list[psutil.Process]:
    """The worker's processes, but not the worker itself."""
    return psutil.Process(stack.child("worker").pid).children(recursive=True)
