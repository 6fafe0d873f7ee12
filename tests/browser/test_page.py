"""The page itself: usable by everybody, small, and the same in a box on another site."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import ViewportSize, expect

from agent.web.server import PAGE
from demo.stack import HOST, Stack
from tests.browser.conftest import Arrive

AXE = PAGE.parent / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = os.environ.get("PARLEY_SCREENSHOTS")
"""Folder for new pictures of the documentation; not set: none are taken."""
MAX_GZIP_KB = 200
SIZES = {
    "phone": ViewportSize(width=390, height=844),
    "tablet": ViewportSize(width=820, height=1180),
    "desktop": ViewportSize(width=1440, height=900),
}
VIOLATIONS = """async () => (await axe.run(document)).violations.map(
    v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 200)).join(' | ')}`)"""


def test_the_scripts_are_small() -> None:
    scripts = [*PAGE.glob("assets/*.js"), PAGE / "widget.js"]
    assert len(scripts) == 2
    for script in scripts:
        assert len(gzip.compress(script.read_bytes())) <= MAX_GZIP_KB * 1000, script.name


@pytest.mark.parametrize("size", SIZES)
async def test_axe_finds_nothing_before_in_and_after_a_call(arrive: Arrive, size: str) -> None:
    scheme = "dark" if size == "tablet" else "light"
    visitor = await arrive(viewport=SIZES[size], color_scheme=scheme)
    await visitor.page.add_init_script(AXE.read_text())
    await visitor.open()
    assert await visitor.page.evaluate(VIOLATIONS) == []
    await visitor.talk()
    await visitor.hears_agent()
    if size == "phone":
        await expect(visitor.page.locator(".line.agent")).not_to_have_count(0)
    else:
        await visitor.is_listened_to()
        await visitor.asks_and_is_answered()
    assert await visitor.page.evaluate(VIOLATIONS) == []
    if SCREENSHOTS:
        await visitor.page.screenshot(path=Path(SCREENSHOTS) / f"page-{size}.png")
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await visitor.page.evaluate(wide), "nothing sticks out sideways"
    await visitor.press("Hang up")
    await expect(visitor.state).to_have_text("The call is over")
    assert await visitor.page.evaluate(VIOLATIONS) == []
    assert visitor.errors == []


async def test_the_keyboard_alone_is_enough(arrive: Arrive) -> None:
    visitor = await arrive()
    await visitor.open()
    keyboard = visitor.page.keyboard
    reached = "document.activeElement.matches('.orb')"
    for _ in range(5):
        await keyboard.press("Tab")
        if await visitor.page.evaluate(reached):
            break
    await keyboard.press("Enter")
    await visitor.hears_agent()
    assert await visitor.page.evaluate(reached), "the focus stays where it was"
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await expect(visitor.state).to_have_text("The call is over")


@pytest_asyncio.fixture(loop_scope="session")
async def shop(stack: Stack) -> AsyncIterator[str]:
    """Another site that has the widget on its page, and may."""

    async def page(request: web.Request) -> web.Response:
        script = f'<script src="{server.url}widget.js" data-label="Call the shop"></script>'
        policy = f"default-src 'self'; script-src {server.url}; connect-src *"
        return web.Response(
            text=f"<!doctype html><html lang=en><title>Shop</title><h1>Shop</h1>{script}",
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    origin = f"http://{HOST}:{runner.addresses[0][1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_WEB_ALLOWED_ORIGINS", origin)
        server = stack.page_server(port=0)
    async with server:
        yield f"{origin}/"
    await runner.cleanup()


async def test_the_widget_holds_a_call_on_another_site(arrive: Arrive, shop: str) -> None:
    visitor = await arrive(url=shop)
    await visitor.open()
    await visitor.press("Call the shop")
    await visitor.talk()
    await visitor.sees("agent", "what can I do for you")
    assert visitor.errors == []
