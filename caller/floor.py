"""What the transport alone costs: a caller speaks to an echo and times its own voice.

A reply time holds two trips through a server: encoders, packets, jitter buffers. The echo answers
at once, so the time from the caller's onset to the echo's onset is that part, and nothing can be
faster on the same machines.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from livekit import api, rtc

from caller.access import TOKEN_TTL
from caller.room import Caller
from caller.voice import RATE, Voice

BURSTS = 20
"""Onsets that are timed."""
BURST_S = 0.3
"""Length of one burst of tone."""
WARM_UP = 3
"""Bursts before them that are not: jitter buffers begin too deep and only shrink under sound (the
first onset was 10 to 20 ms later than all after the third)."""
ECHO_TIMEOUT_S = 3.0
"""How long an echo may take before the measurement is given up."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Onset sent to onset heard, milliseconds.

    Attributes:
        p50: The median.
        least: The fastest.
        most: The slowest.
        count: How many were timed.
    """

    p50: float
    least: float
    most: float
    count: int


class Echo:
    """A participant that joins as an agent and sends back every frame it hears, at once.

    Args:
        url: The LiveKit server.
        api_key: Its key.
        api_secret: Its secret.
        room: The room to join.
        delay_s: Silence to put before what it sends back, seconds: an agent whose thinking time
            is known.
    """

    def __init__(
        self, url: str, api_key: str, api_secret: str, *, room: str, delay_s: float = 0.0
    ) -> None:
        grants = api.VideoGrants(room_join=True, room=room)
        token = api.AccessToken(api_key, api_secret).with_identity("echo").with_kind("agent")
        self._token = token.with_grants(grants).with_ttl(TOKEN_TTL).to_jwt()
        self._url = url
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=0)  # no queue: straight on
        self._delay_frames = round(delay_s * 100)
        self._stream: rtc.AudioStream | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        def subscribed(
            track: rtc.Track, _: rtc.RemoteTrackPublication, __: rtc.RemoteParticipant
        ) -> None:
            if track.kind == rtc.TrackKind.KIND_AUDIO and self._stream is None:
                self._stream = rtc.AudioStream.from_track(
                    track=track, sample_rate=RATE, num_channels=1, frame_size_ms=10
                )
                self._task = asyncio.create_task(self._send_back(self._stream), name="echo")

        self._room.on("track_subscribed", subscribed)
        await self._room.connect(self._url, self._token)
        track = rtc.LocalAudioTrack.create_audio_track("echo", self._source)
        await self._room.local_participant.publish_track(track)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream:
            await self._stream.aclose()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._source.aclose()
        await self._room.disconnect()

    async def _send_back(self, stream: rtc.AudioStream) -> None:
        silence = rtc.AudioFrame.create(RATE, 1, RATE // 100)
        waiting = [silence] * self._delay_frames
        async for event in stream:
            waiting.append(event.frame)
            await self._source.capture_frame(waiting.pop(0))


class Tone:
    """A synthesizer whose every text is the same burst of 440 Hz."""

    def synthesize(self, text: str, *, sample_rate: int) -> Iterator[bytes]:
        """Yield the burst."""
        t = np.arange(round(BURST_S * sample_rate)) / sample_rate
        yield (8000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()


async def measure_floor(
    url: str, api_key: str, api_secret: str, *, room: str, bursts: int = BURSTS
) -> Floor:
    """Time `bursts` (at least one) bursts of tone through an echo in `room`.

    Raises:
        ServerUnreachable: The server is not there or refuses the key.
        NoReply: The echo did not come back.
    """
    times: list[float] = []
    async with Caller(
        url, api_key, api_secret, room=room, agent_identity="echo", voice=Voice(synthesizer=Tone())
    ) as caller, Echo(url, api_key, api_secret, room=room):  # fmt: skip
        await caller.wait_for_agent(ECHO_TIMEOUT_S)
        for _ in range(WARM_UP + bursts):
            spoken = await caller.say("burst")
            heard = await caller.hear_reply(silence_ms=200, timeout_s=ECHO_TIMEOUT_S)
            times.append(round((heard.onset_s - spoken.onset_s) * 1000, 1))
    del times[:WARM_UP]
    median = round(statistics.median(times), 1)
    return Floor(p50=median, least=min(times), most=max(times), count=len(times))
