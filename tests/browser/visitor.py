"""A person at the page: presses, speaks, looks and listens."""

from __future__ import annotations

import base64
import io
import os
import re
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, ViewportSize, expect

from agent.web.server import PAGE
from caller.activity import Samples
from caller.voice import RATE, Voice

PATIENCE_MS = 60_000
"""For anything that happens at last on a machine with two busy cores."""
AUDIBLE = 0.3
"""Level of the agent's that only a voice reaches; 0.3 is about -35 dB."""
DESKTOP = ViewportSize(width=1440, height=900)
TABLET = ViewportSize(width=820, height=1180)
PHONE = ViewportSize(width=390, height=844)
AXE = PAGE.parent / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = """async () => (await axe.run(document)).violations.map(
    v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 200)).join(' | ')}`)"""
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"

expect.set_options(timeout=PATIENCE_MS)


class Visitor:
    """One page.

    Args:
        page: Playwright's.
        url: Of the page to talk from.
        voice: Renders what the visitor says.
    """

    def __init__(self, page: Page, *, url: str, voice: Voice) -> None:
        self.page = page
        self.state = page.locator(".state")
        self.notice = page.locator(".notice")
        self._url = url
        self._voice = voice
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("console", self._on_console)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _on_console(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
            self.errors.append(message.text)

    async def open(self) -> None:
        await self.page.goto(self._url)

    async def talk(self) -> None:
        await self.page.get_by_role("button", name="Talk", exact=True).click()

    async def call(self) -> None:
        """Open the page, press the button and be greeted."""
        await self.open()
        await self.talk()
        await self.is_greeted()

    async def is_greeted(self) -> None:
        """Wait for the first words of the greeting."""
        await expect(self.page.locator(".line.agent").first).to_contain_text("this is Parley")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def leave(self) -> None:
        """Hang up, so that nobody waits for this visitor."""
        with suppress(BrowserError):
            await self.page.evaluate("() => window.parley?.call?.hangUp()")

    async def reaches(self, selector: str) -> None:
        """Press the tabulator until an element has the focus."""
        reached = f"document.activeElement.matches('{selector}')"
        for _ in range(20):
            if await self.page.evaluate(reached):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"the tabulator does not lead to {selector}")

    async def say(self, words: str) -> None:
        line = await self._voice.line(words)
        sound = base64.b64encode(wav(line.samples)).decode()
        await self.page.evaluate("sound => window.saySound(sound)", sound)

    async def type(self, words: str) -> None:
        line = self.page.get_by_label("Type to the agent")
        await line.fill(words)
        await line.press("Enter")

    async def hears_agent(self) -> None:
        """Wait for sound of the agent's."""
        level = "getPropertyValue('--agent-level')"
        await self.until(f"() => +document.querySelector('.orb').style.{level} > {AUDIBLE}")

    async def is_listened_to(self) -> None:
        await expect(self.state).to_have_text("Listening")

    async def sees(self, side: str, words: str) -> None:
        """Wait for a finished caption of "caller" or "agent" with a pattern in it."""
        line = self.page.locator(f".line.{side}.final", has_text=re.compile(words, re.IGNORECASE))
        await expect(line.first).to_be_visible()

    async def is_told(self, *causes: str) -> None:
        """Wait until a notice was shown, however briefly."""
        await self.until("(all) => window.shown.notices.some(n => all.includes(n))", list(causes))

    async def is_told_now(self, cause: str) -> None:
        """Wait until a notice is there to be read; also in a widget."""
        await expect(self.notice).to_have_attribute("data-cause", cause)

    async def until(self, script: str, argument: Any = None) -> None:
        await self.page.wait_for_function(script, arg=argument, timeout=PATIENCE_MS)

    async def asks_and_is_answered(self) -> None:
        """One whole turn, once there is an agent: the call works."""
        await self.until("() => window.parley.call.agent")
        before = await self.page.locator(".line").count()
        await self.say("What is on my calendar tomorrow?")
        await self.until(
            "(before) => [...document.querySelectorAll('.line')].slice(before)"
            ".some(line => line.matches('.agent') && line.innerText.includes('dentist'))",
            before,
        )

    async def causes_shown(self) -> list[str]:
        """Causes of all notices since the page was loaded."""
        causes: list[str] = await self.page.evaluate("() => window.shown.notices")
        return causes

    async def pictured(self, name: str) -> None:
        """Take a picture for the documentation, if there is a folder for it."""
        if folder := os.environ.get("PARLEY_SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"page-{name}.png")

    async def finds_no_fault(self) -> None:
        """Look at the page with axe, and for what sticks out sideways."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        assert await self.page.evaluate(VIOLATIONS) == []
        assert not await self.page.evaluate(TOO_WIDE)
        assert self.errors == []


def wav(samples: Samples, *, silence_s: float = 0.0) -> bytes:
    """A sound file of `samples`, with silence before them."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(bytes(2 * round(silence_s * RATE)))
        out.writeframes(samples.tobytes())
    return file.getvalue()
