"""The gateflow plugin against the local gateway, with a fault script in force if wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from livekit.agents import APIError, llm
from livekit.plugins import gateflow

from gateway.config import SimConfig
from gateway.server import Gateway
from tests.faults_met import FaultsMet

from .vendors import KEY, LOCAL, frames, seconds, spoken, standing_in

FAST = SimConfig(
    tts_connect_ms=0,
    tts_first_audio_ms=10,
    tts_realtime_factor=20,
    llm_first_token_ms=10,
    llm_tokens_per_s=1_000,
)
BRISK = replace(FAST, tts_char_ms=6)
"""A reply on a socket ends only when it has been played: this voice has said it in half a
second."""
SLOW = replace(FAST, tts_realtime_factor=1.0)
"""A voice that can be interrupted while it is still being sent."""
REAL: dict[str, Any] = {
    "stand_ins": LOCAL,
    "template": LOCAL,
    "preload": (LOCAL["stt"], LOCAL["tts"]),
}
"""Options of a rig with real engines, warm before anybody waits for them."""
SAID = spoken(0.3)[: 2 * 9_600]
"""A short turn, for sessions that take it in real time: 0.3 s of sound, 0.3 s of silence."""
REPLY = "Sure, let me check that for you. Your order was shipped and arrives on Monday."
"""What the sim model answers."""
REPLY_S = BRISK.tts_char_ms / 1000 * (len(REPLY) - 1)
"""How long it takes to say, between two sentences without the blank."""


@dataclass
class Rig:
    """A gateway, and what the plugin objects need to reach it."""

    gateway: Gateway
    http: aiohttp.ClientSession

    @property
    def access(self) -> dict[str, Any]:
        return {"base_url": self.gateway.url, "api_key": KEY, "http_session": self.http}

    def fault(self, stage: str, do: str, **fields: Any) -> None:
        self.gateway.faults.set([{"stage": stage, "do": do} | fields], seed=1)


@asynccontextmanager
async def rig(**options: Any) -> AsyncIterator[Rig]:
    options.setdefault("sim", FAST)
    async with standing_in(**options) as (gateway, http):
        yield Rig(gateway, http)


@dataclass
class Talk:
    """A session of the realtime model, and everything it has told."""

    session: gateflow.RealtimeSession
    met: FaultsMet
    replies: list[tuple[str, float]] = field(default_factory=list)
    """Text and seconds of each reply that has ended."""
    begun: int = 0
    heard: list[llm.InputTranscriptionCompleted] = field(default_factory=list)
    errors: list[llm.RealtimeModelError] = field(default_factory=list)
    interruptions: int = 0
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    def on_generation(self, event: llm.GenerationCreatedEvent) -> None:
        self.begun += 1
        self._readers.append(asyncio.create_task(self._read(event)))

    async def _read(self, event: llm.GenerationCreatedEvent) -> None:
        async for message in event.message_stream:
            audio, text = await asyncio.gather(
                _all(message.audio_stream), _all(message.text_stream)
            )
            self.replies.append(("".join(text).strip(), seconds(audio)))

    def on_speech(self, event: llm.InputSpeechStartedEvent) -> None:
        self.interruptions += 1

    async def say(self, pcm: bytes) -> None:
        """Push audio in real time."""
        for frame in frames(pcm):
            self.session.push_audio(frame)
            await asyncio.sleep(frame.duration)

    async def reply(self, *, number: int = 1) -> tuple[str, float]:
        """The reply of that number, while silence goes on being pushed."""
        async with asyncio.timeout(15):
            while len(self.replies) < number:
                await self.say(bytes(3200))
        return self.replies[number - 1]

    async def answer(self, pcm: bytes) -> None:
        """One turn of a pipeline: commit the audio and have it answered."""
        self.session.start_user_activity()
        for frame in frames(pcm):
            self.session.push_audio(frame)
        self.session.commit_audio()
        self.on_generation(await self.session.generate_reply())

    async def aclose(self) -> None:
        await self.session.aclose()
        async with asyncio.timeout(5):
            await asyncio.gather(*self._readers)


async def _all(stream: Any) -> list[Any]:
    return [item async for item in stream]


@asynccontextmanager
async def talk(it: Rig, **options: Any) -> AsyncIterator[Talk]:
    """A session of the realtime model with these options."""
    model = gateflow.RealtimeModel(**it.access, **options)
    session = model.session()
    with FaultsMet(model.faults) as met:
        telling = Talk(session, met)
        session.on("generation_created", telling.on_generation)
        session.on("input_audio_transcription_completed", telling.heard.append)
        session.on("error", telling.errors.append)
        session.on("input_speech_started", telling.on_speech)
        try:
            yield telling
        finally:
            await telling.aclose()
            await model.aclose()


def verdicts(errors: list[Any]) -> list[bool]:
    """Which of the errors were recoverable."""
    assert all(isinstance(error.error, APIError) for error in errors)
    return [error.recoverable for error in errors]
