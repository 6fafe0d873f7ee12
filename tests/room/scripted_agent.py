"""An agent whose every sound is known: what the caller's times are checked against."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

import numpy as np
from livekit import api, rtc

from caller.ear import Ear
from caller.mouth import Mouth, Spoken
from caller.voice import RATE, Line

WAIT_S = 10.0


def tone_line(seconds: float, *, hz: float = 300.0, gap_at: float | None = None) -> Line:
    """A steady tone, perhaps with a pause of 0.4 s in it; 20 ms of silence before and after."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = (8000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)
    if gap_at is not None:
        tone[round(gap_at * RATE) : round((gap_at + 0.4) * RATE)] = 0
    pad = round(0.02 * RATE)
    return Line(
        said=f"{hz:g} Hz", samples=np.pad(tone, pad), start=pad, end=pad + len(tone)
    )  # fmt: skip


class ScriptedAgent:
    """Joins as an agent, hears the caller, and speaks when it is told."""

    def __init__(self, url: str, api_key: str, api_secret: str, *, room: str) -> None:
        grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
        token = api.AccessToken(api_key, api_secret).with_identity("agent").with_kind("agent")
        self._token = token.with_grants(grants).to_jwt()
        self._url = url
        self.room = rtc.Room()
        self.mouth = Mouth(recording=None)
        self.ear = Ear(recording=None)

    async def __aenter__(self) -> Self:
        def subscribed(
            track: rtc.Track, _: rtc.RemoteTrackPublication, __: rtc.RemoteParticipant
        ) -> None:
            self.ear.attach(track)

        self.room.on("track_subscribed", subscribed)
        await self.room.connect(self._url, self._token)
        await self.mouth.open(self.room)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.leave()

    async def leave(self) -> None:
        await self.mouth.aclose()
        await self.ear.aclose()
        await self.room.disconnect()

    async def hears_onset(self, after: float) -> float:
        """When the caller's next sound reached the agent."""
        heard = await self.ear.until(
            lambda: self.ear.activity.utterance(after, silence_s=0.0), timeout_s=WAIT_S
        )
        assert heard is not None
        return heard.start

    async def answers(self, after: float, line: Line, *, wait_s: float) -> Spoken:
        """Speak `line` `wait_s` after the end of the caller's next utterance reached the agent."""
        heard = await self.ear.until(
            lambda: (
                utterance
                if (utterance := self.ear.activity.utterance(after, silence_s=0.2))
                and utterance.ended
                else None
            ),
            timeout_s=WAIT_S,
        )
        assert heard is not None
        return await self.mouth.speak(line, not_before=heard.end + wait_s)

    async def speaks_until_interrupted(self, line: Line, *, wait_s: float) -> float:
        """Speak, and fall silent `wait_s` after the caller is heard; returns when it did."""
        speaking = asyncio.create_task(self.mouth.speak(line))
        onset = await self.hears_onset(time.monotonic())
        await asyncio.sleep(max(0.0, onset + wait_s - time.monotonic()))
        speaking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await speaking
        return time.monotonic()
