"""A person at the page: presses, speaks, looks and listens."""

from __future__ import annotations

import base64
import io
import re
import wave
from typing import Any

from playwright.async_api import Page, expect

from caller.activity import Samples
from caller.voice import RATE, Voice

PATIENCE_MS = 60_000
"""For anything that happens at last on a machine with two busy cores."""
AUDIBLE = 0.3
"""Height of the agent's arc that only a voice reaches; 0.3 is about -35 dB."""

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
        self.orb = page.locator(".orb")
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
        await self.page.get_by_role("button", name="Talk").click()

    async def call(self) -> None:
        """Open the page, press the button and hear the greeting to its end."""
        await self.open()
        await self.talk()
        await self.hears_agent()
        await self.is_listened_to()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def say(self, words: str) -> None:
        line = await self._voice.line(words)
        sound = base64.b64encode(wav(line.samples)).decode()
        await self.page.evaluate("sound => window.saySound(sound)", sound)

    async def hears_agent(self) -> None:
        """Wait for sound of the agent's."""
        await self.until(
            f"() => +document.querySelector('.orb').style.getPropertyValue('--agent') > {AUDIBLE}"
        )

    async def is_listened_to(self) -> None:
        await expect(self.state).to_have_text("Listening")

    async def sees(self, side: str, words: str) -> None:
        """Wait for a finished caption of "caller" or "agent" with a pattern in it."""
        line = self.page.locator(f".line.{side}.final", has_text=re.compile(words, re.IGNORECASE))
        await expect(line.first).to_be_visible()

    async def is_told(self, *causes: str) -> None:
        """Wait until a notice was shown, however briefly."""
        await self.until("(all) => window.shown.notices.some(n => all.includes(n))", list(causes))

    async def until(self, script: str, argument: Any = None) -> None:
        await self.page.wait_for_function(script, arg=argument, timeout=PATIENCE_MS)

    async def asks_and_is_answered(self) -> None:
        """One whole turn: the call works."""
        await self.page.evaluate("() => window.before = document.querySelectorAll('.line').length")
        await self.say("What is on my calendar tomorrow?")
        await self.hears_agent()
        await self.until(
            "() => [...document.querySelectorAll('.line')].slice(window.before)"
            ".some(line => line.matches('.agent.final') && line.innerText.length > 20)"
        )

    async def causes_shown(self) -> list[str]:
        """Causes of all notices since the page was loaded."""
        causes: list[str] = await self.page.evaluate("() => window.shown.notices")
        return causes


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
