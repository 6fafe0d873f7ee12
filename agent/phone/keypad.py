"""Keys that somebody on a line presses (RFC 2833, as the phone bridge passes them on)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from livekit import rtc

MAX_KEYS = 64
"""Keys that are kept for whoever asks; more are dropped."""
END_KEY = "#"


class Keypad:
    """Collects keys while somebody wants them; others are a choice from the menu.

    What is collected goes to the code that asked, never to a model or a log.

    Args:
        room: The call's room.
        identity: Whose keys.
        on_key: Told each key that nobody was collecting.
    """

    def __init__(
        self, *, room: rtc.Room, identity: str, on_key: Callable[[str], None] | None = None
    ) -> None:
        self._room = room
        self._identity = identity
        self._on_key = on_key
        self._keys: asyncio.Queue[str] | None = None
        self._listening = False

    def start(self) -> None:
        """Begin to listen."""
        self._listening = True
        self._room.on("sip_dtmf_received", self._take)

    def stop(self) -> None:
        """Stop listening; who collects gets what there is."""
        if not self._listening:
            return
        self._listening = False
        self._room.off("sip_dtmf_received", self._take)
        if self._keys and not self._keys.full():
            self._keys.put_nowait(END_KEY)

    async def collect(self, most: int, *, key_s: float) -> str:
        """Keys up to `#`, up to `most`, or until none comes for `key_s` seconds."""
        keys = self._keys = asyncio.Queue(MAX_KEYS)
        pressed = ""
        try:
            with contextlib.suppress(TimeoutError):
                while len(pressed) < most:
                    async with asyncio.timeout(key_s):
                        key = await keys.get()
                    if key == END_KEY:
                        break
                    pressed += key
        finally:
            self._keys = None
        return pressed

    def _take(self, event: rtc.SipDTMF) -> None:
        if event.participant is None or event.participant.identity != self._identity:
            return
        if self._keys is None:
            if self._on_key:
                self._on_key(event.digit)
        elif not self._keys.full():
            self._keys.put_nowait(event.digit)
