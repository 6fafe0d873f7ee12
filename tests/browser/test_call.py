"""Whole calls on the page."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from livekit import api
from playwright.async_api import expect

from agent.web.server import WebServer
from demo.stack import Stack
from tests.browser.conftest import Arrive
from tests.browser.visitor import DESKTOP, PATIENCE_MS, PHONE, Visitor

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
    visitor = await arrive(viewport=DESKTOP, color_scheme="light", accept_downloads=True)
    await starts_with_the_keyboard(visitor)
    await asks_for_an_order(visitor)
    await interrupts_a_story(visitor)
    await types_while_muted(visitor)
    await finds_every_turn_measured(visitor)
    await visitor.finds_no_fault()
    await visitor.pictured("desktop")
    await saves_the_transcript(visitor)

    room = await visitor.page.evaluate("parley.call.room.name")
    await visitor.reaches(".hang-up")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.state).to_have_text("The call is over")
    assert await rooms(stack, room) == 0, "the agent left with its caller"
    assert await visitor.causes_shown() == []
    own = {urlsplit(page_server.url).netloc, urlsplit(stack.livekit_url).netloc}
    assert {urlsplit(url).netloc for url in visitor.requests if "://" in url} <= own


async def starts_with_the_keyboard(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.finds_no_fault()
    await visitor.reaches(".orb")
    await visitor.page.keyboard.press("Enter")
    await visitor.hears_agent()
    assert await visitor.page.evaluate("document.activeElement.matches('.orb')"), "focus stays"
    await visitor.sees("agent", "what can I do for you")
    await visitor.is_listened_to()


async def asks_for_an_order(visitor: Visitor) -> None:
    await visitor.say(ORDER)
    await visitor.until("() => window.shown.states.includes('Using a tool: lookup order…')")
    await visitor.sees("caller", "order")
    await visitor.sees("agent", "desk lamp.*Monday")
    await visitor.is_listened_to()


async def interrupts_a_story(visitor: Visitor) -> None:
    agents = visitor.page.locator(".line.agent")
    before = await agents.count()
    await visitor.say("Please tell me a long story.")
    await expect(agents.nth(before)).to_contain_text(re.compile(r"(\w+\W+){5}"))
    await visitor.say("Stop, please. What is on my calendar tomorrow?")
    struck = visitor.page.locator(".line.agent.final s").first
    await expect(struck).to_be_visible()
    assert len((await struck.inner_text()).split()) >= 3
    await visitor.sees("agent", "dentist")


async def types_while_muted(visitor: Visitor) -> None:
    lines = visitor.page.locator(".line.caller", has_text=re.compile("story", re.IGNORECASE))
    before = await lines.count()
    await visitor.press("Mute")
    await visitor.say("Please tell me a long story.")
    await visitor.type("Book a flight to Lisbon on Friday.")
    await visitor.sees("caller", "book a flight")
    await visitor.sees("agent", "Lisbon")
    await visitor.press("Unmute")
    assert await lines.count() == before, "what was said while muted was heard"


async def finds_every_turn_measured(visitor: Visitor) -> None:
    notes = visitor.page.locator(".turn .notes")
    await expect(notes.filter(has_text="lookup order")).not_to_have_count(0)
    await expect(notes.filter(has_text="interrupted")).not_to_have_count(0)
    for turn in await visitor.page.evaluate(TURNS):
        assert sum(turn["bars"]) == pytest.approx(turn["total"], abs=SAME_MS)
        shown = int(turn["shown"].removesuffix(" ms"))
        assert shown == pytest.approx(turn["total"], abs=0.5)


async def saves_the_transcript(visitor: Visitor) -> None:
    async with visitor.page.expect_download(timeout=PATIENCE_MS) as download:
        await visitor.press("Transcript")
    text = (await (await download.value).path()).read_text()
    assert "desk lamp" in text
    assert "[interrupted; not said: " in text
    assert "You (typed): Book a flight" in text


async def test_the_agent_hangs_up_on_a_phone_with_its_own_microphone(arrive: Arrive) -> None:
    """Chromium's fake device: `getUserMedia` and the choice of devices as visitors have them."""
    visitor = await arrive(
        own_microphone=True, viewport=PHONE, color_scheme="dark", reduced_motion="reduce"
    )
    await visitor.open()
    await visitor.finds_no_fault()
    await visitor.talk()
    await visitor.hears_agent()
    await expect(visitor.page.get_by_label("Microphone", exact=True)).to_contain_text("Fake")
    await visitor.finds_no_fault()
    await visitor.sees("caller", "goodbye")
    await visitor.pictured("phone")
    await visitor.sees("agent", "goodbye")
    await visitor.is_told_now("agent-ended")
    await expect(visitor.state).to_have_text("The call is over")
    await visitor.finds_no_fault()


async def rooms(stack: Stack, name: str) -> int:
    """How many rooms of that name there are once the server had time to close it."""
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        for _ in range(100):
            found = await server.room.list_rooms(api.ListRoomsRequest(names=[name]))
            if not found.rooms:
                return 0
            await asyncio.sleep(0.1)
    return len(found.rooms)
