"""The page itself: small, honest before a call, and the same in a box on another site."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Route, expect

from agent.web.server import PAGE
from demo.stack import HOST, Ports, Stack
from tests.browser.conftest import Arrive

MAX_GZIP_KB = 200


def test_the_scripts_are_small() -> None:
    scripts = [*PAGE.glob("assets/*.js"), PAGE / "widget.js"]
    assert len(scripts) == 2
    for script in scripts:
        assert len(gzip.compress(script.read_bytes())) <= MAX_GZIP_KB * 1000, script.name


async def test_a_call_that_cannot_begin_says_why(arrive: Arrive) -> None:
    visitor = await arrive()
    page = visitor.page
    answer = {"status": 500, "json": {}}

    async def tokens(route: Route) -> None:
        await route.fulfill(**answer)  # type: ignore[arg-type]  # Playwright's own names

    await page.route("**/api/token", tokens)
    await visitor.open()
    await visitor.talk()
    await visitor.is_told_now("page-server")
    await expect(visitor.state).to_have_text("The call is over")

    answer["status"] = 429
    await visitor.press("Try again")
    await visitor.is_told_now("rate-limit")

    nowhere = f"ws://{HOST}:{Ports.free().livekit}"
    answer |= {"status": 201, "json": {"server_url": nowhere, "participant_token": "x.y.z"}}
    await visitor.press("Try again")
    await visitor.is_told_now("media-server")

    for failure, cause in (("NotFoundError", "mic-missing"), ("NotReadableError", "mic-failed")):
        await page.evaluate("failure => window.noMicrophone = failure", failure)
        await visitor.press("Try again")
        await visitor.is_told_now(cause)
    await page.evaluate("window.noMicrophone = ''")

    await page.unroute("**/api/token")
    await page.route("**/api/token", lambda route: None)  # never answered
    await visitor.press("Try again")
    await expect(visitor.state).to_have_text("Connecting…")
    await visitor.press("Hang up")
    await expect(visitor.state).to_have_text("The call is over")
    await expect(visitor.notice).to_have_count(0)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(stack: Stack) -> AsyncIterator[str]:
    """Another site that has the widget on its page, and may."""

    async def page(request: web.Request) -> web.Response:
        source = f'async src="{server.url}widget.js" data-endpoint="{server.url}api/token"'
        script = f'<script {source} data-label="Call the shop"></script>'
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


async def test_the_widget_holds_a_typed_call_on_another_site(arrive: Arrive, shop: str) -> None:
    visitor = await arrive(url=shop)
    await visitor.open()
    await visitor.page.evaluate("window.noMicrophone = 'NotAllowedError'")
    await visitor.press("Call the shop")
    await visitor.talk()
    await visitor.is_told_now("mic-denied")
    await visitor.press("Type instead")
    await visitor.sees("agent", "what can I do for you")
    await visitor.type("What is on my calendar tomorrow?")
    await visitor.sees("caller", "what is on my calendar")
    await visitor.sees("agent", "dentist")
    assert visitor.errors == []
    await visitor.press("Close")
    await expect(visitor.page.get_by_role("dialog")).to_have_count(0)
