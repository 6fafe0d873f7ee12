"""A whole call on the page."""

from __future__ import annotations

import asyncio
import re
import tempfile
from urllib.parse import urlsplit

import pytest
from livekit import api
from playwright.async_api import async_playwright, expect

from agent.web.server import WebServer
from caller.voice import Voice
from demo.stack import Stack
from tests.browser.conftest import FLAGS, Arrive, browser_path
from tests.browser.visitor import PATIENCE_MS, Visitor, wav

ORDER = "Where is my order? My email is peter at example dot com."
SAME_MS = 20.0
TURNS = """() => [...document.querySelectorAll('.turn')].map(turn => ({
    total: +turn.dataset.total,
    shown: turn.querySelector('strong').textContent,
    notes: turn.querySelector('.notes').textContent,
    bars: [...turn.querySelectorAll('.bar')].map(bar => +bar.dataset.ms),
}))"""


async def test_a_call_from_the_greeting_to_the_hang_up(
    arrive: Arrive, stack: Stack, page_server: WebServer
) -> None:
    visitor = await arrive(accept_downloads=True)
    page = visitor.page
    await visitor.open()
    await visitor.talk()
    await visitor.hears_agent()
    waited = await page.evaluate("performance.now()")
    print(f"\npage load to the agent's first sound: {waited:.0f} ms")  # noqa: T201 - a figure, not a bar
    await visitor.sees("agent", "what can I do for you")

    await visitor.say(ORDER)
    await visitor.until("() => window.shown.states.includes('Using a tool: lookup order…')")
    await visitor.sees("caller", "order")
    await visitor.sees("agent", "desk lamp.*Monday")

    await visitor.is_listened_to()
    await visitor.say("Please tell me a long story.")
    await visitor.hears_agent()
    await expect(page.locator(".line.agent").nth(2)).to_contain_text(re.compile(r"(\w+\W+){5}"))
    await visitor.say("Stop, please. What is on my calendar tomorrow?")
    struck = page.locator(".line.agent.final s")
    await expect(struck.first).to_be_visible()
    assert len((await struck.first.inner_text()).split()) >= 3
    await visitor.sees("agent", "calendar|tomorrow|meeting|dentist|nothing")

    await expect(page.locator(".turn")).not_to_have_count(0)
    turns = await page.evaluate(TURNS)
    assert any("lookup order" in turn["notes"] for turn in turns)
    assert any("interrupted" in turn["notes"] for turn in turns)
    for turn in turns:
        assert sum(turn["bars"]) == pytest.approx(turn["total"], abs=SAME_MS)
        assert turn["shown"] == f"{turn['total']:.0f} ms"

    async with page.expect_download(timeout=PATIENCE_MS) as download:
        await visitor.press("Transcript")
    text = (await (await download.value).path()).read_text()
    assert "desk lamp" in text
    assert "[interrupted; not said: " in text

    room = await page.evaluate("parley.call.room.name")
    await visitor.press("Hang up")
    await expect(visitor.state).to_have_text("The call is over")
    assert await rooms(stack, room) == 0, "the agent left with its caller"
    assert await visitor.causes_shown() == []
    assert visitor.errors == []
    own = {urlsplit(page_server.url).netloc, urlsplit(stack.livekit_url).netloc}
    assert {urlsplit(url).netloc for url in visitor.requests if "://" in url} <= own


async def test_the_browsers_own_microphone(page_server: WebServer, voice: Voice) -> None:
    """Chromium's fake device: `getUserMedia` and the choice of devices as visitors have them."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as sound:
        sound.write(wav((await voice.line(ORDER)).samples, silence_s=6.0))
        sound.flush()
        capture = f"--use-file-for-fake-audio-capture={sound.name}"  # again and again
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=browser_path(), args=[*FLAGS, capture]
            )
            visitor = Visitor(await browser.new_page(), url=page_server.url, voice=voice)
            await visitor.open()
            await visitor.talk()
            await visitor.hears_agent()
            await visitor.sees("caller", "order")
            await expect(visitor.page.get_by_label("Microphone", exact=True)).to_contain_text(
                "Fake"
            )
            await browser.close()


async def test_the_agent_hangs_up(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.call()
    await visitor.say("Thank you. Goodbye!")
    await visitor.sees("agent", "goodbye")
    await visitor.is_told("agent-ended")
    await visitor.press("Start a new call")
    await visitor.hears_agent()


async def test_typing_without_a_microphone(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.open()
    await visitor.page.evaluate("window.noMicrophone = 'NotAllowedError'")
    await visitor.talk()
    await visitor.is_told("mic-denied")
    await visitor.press("Type instead")
    await visitor.hears_agent()
    await visitor.is_listened_to()
    line = visitor.page.get_by_label("Type to the agent")
    await line.fill("What is on my calendar tomorrow?")
    await line.press("Enter")
    await visitor.sees("caller", "what is on my calendar")
    await visitor.sees("agent", "calendar|tomorrow|meeting|dentist|nothing")


async def test_mute(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.call()
    await visitor.press("Mute")
    await visitor.say(ORDER)
    await visitor.press("Unmute")
    await visitor.asks_and_is_answered()
    heard = await visitor.page.locator(".line.caller").all_inner_texts()
    assert not [line for line in heard if "order" in line.lower()]


async def rooms(stack: Stack, name: str) -> int:
    """How many rooms of that name there are once the server had time to close it."""
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        for _ in range(100):
            found = await server.room.list_rooms(api.ListRoomsRequest(names=[name]))
            if not found.rooms:
                return 0
            await asyncio.sleep(0.1)
    return len(found.rooms)
