"""The agent's voice in a real room: pauses are heard at once, and no sound is lost to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
from livekit import api, rtc

from agent.speech.playout import Playout
from tests.room.media import API_KEY, API_SECRET, Media, running_media

RATE, HEARD_RATE = 24_000, 16_000
TONE_S, HZ = 3.0, 300.0
PAUSES, EVERY_S, PAUSE_S = 6, 0.37, 0.3
FRAME_S = 0.01
QUIET = 500
RINGS_S = 0.06
"""A codec lets a cut sound ring on, and needs a packet to begin again."""


@asynccontextmanager
async def voice_in(media: Media, room: str) -> AsyncIterator[Playout]:
    """An agent that is nothing but a playout."""
    grants = api.VideoGrants(room_join=True, room=room)
    token = api.AccessToken(API_KEY, API_SECRET).with_identity("agent").with_kind("agent")
    joined = rtc.Room()
    await joined.connect(media.url, token.with_grants(grants).to_jwt())
    playout = Playout(sample_rate=RATE)
    playout.start(joined)
    yield playout
    await playout.aclose()
    await joined.disconnect()


def tone() -> rtc.AudioFrame:
    t = np.arange(round(TONE_S * RATE)) / RATE
    samples = (8000 * np.sin(2 * np.pi * HZ * t)).astype(np.int16)
    return rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))


def stretches(pcm: bytes) -> list[tuple[bool, float]]:
    """Sound and silence in turns, from the first sound to the last; lengths in seconds."""
    samples = np.abs(np.frombuffer(pcm, dtype=np.int16).astype(np.int32))
    size = round(HEARD_RATE * FRAME_S)
    loud = samples[: len(samples) // size * size].reshape(-1, size).max(axis=1) > QUIET
    sounding = np.flatnonzero(loud)
    runs = groupby(loud[sounding[0] : sounding[-1] + 1])
    return [(bool(sounds), len(list(run)) * FRAME_S) for sounds, run in runs]


async def test_pauses_are_heard_at_once_and_lose_nothing(tmp_path: Path) -> None:
    async with (
        running_media(tmp_path) as media,
        media.caller("playout") as caller,
        voice_in(media, "playout") as playout,
    ):
        await caller.wait_for_agent()
        await playout.capture_frame(tone())
        playout.flush()
        for _ in range(PAUSES):
            await asyncio.sleep(EVERY_S)
            playout.pause()
            await asyncio.sleep(PAUSE_S)
            playout.resume()
        async with asyncio.timeout(10):
            played = await playout.wait_for_playout()
        heard = await caller.hear_reply()
    assert not played.interrupted
    found = stretches(heard.pcm)
    silences = [length for sounds, length in found if not sounds and length > PAUSE_S / 2]
    assert len(silences) == PAUSES, found
    assert min(silences) > PAUSE_S - RINGS_S, found
    sounded = sum(length for sounds, length in found if sounds)
    assert abs(sounded - TONE_S) < PAUSES * RINGS_S, found
