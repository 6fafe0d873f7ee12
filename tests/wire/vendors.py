"""Stock clients and how they are asked, for the contract tests of the local gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
from livekit import rtc
from livekit.agents import stt, tts

from gateway.config import GatewayConfig
from gateway.server import Gateway

KEY = "canary-key-of-more-than-32-characters-4711"
SIM = {"stt": "sim/stt", "llm": "sim/llm", "tts": "sim/tts"}
LOCAL = {"stt": "local/whisper-tiny.en", "llm": "local/brain", "tts": "local/piper-joe"}
SENTENCES = "Your order has shipped. It arrives on Monday."
DEADLINE_S = 30.0
WORDS = "what is the status of my order"
"""What the sim recogniser hears first."""


@asynccontextmanager
async def standing_in(**options: Any) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """A gateway that answers for every model, with a key, and a client session."""
    options.setdefault("stand_ins", SIM)
    options.setdefault("template", SIM)
    config = GatewayConfig(port=0, key=KEY, **options)
    async with Gateway(config) as gateway, aiohttp.ClientSession() as http:
        yield gateway, http


def frames(pcm: bytes, *, rate: int = 16_000, ms: int = 20) -> list[rtc.AudioFrame]:
    """Audio as a room gives it."""
    size = rate * ms // 1000 * 2
    return [
        rtc.AudioFrame(pcm[start : start + size], rate, 1, len(pcm[start : start + size]) // 2)
        for start in range(0, len(pcm), size)
    ]


def spoken(seconds: float = 0.7, *, rate: int = 16_000) -> bytes:
    """Sound for the sim recogniser, and the silence that ends it."""
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)
    return (tone * 32767).astype("<i2").tobytes() + bytes(rate)  # half a second of silence


async def transcribe(
    stream: stt.RecognizeStream, pcm: bytes, *, rate: int = 16_000, speed: float = 1.0
) -> list[stt.SpeechEvent]:
    """Push audio at a pace; return all events up to the end of speech, or of the stream."""

    async def push() -> None:
        for frame in frames(pcm, rate=rate):
            stream.push_frame(frame)
            await asyncio.sleep(frame.duration / speed)
        stream.end_input()

    async with asyncio.timeout(DEADLINE_S):
        pushing = asyncio.create_task(push())
        try:
            events = []
            async for event in stream:
                events.append(event)
                if event.type is stt.SpeechEventType.END_OF_SPEECH:
                    break
            return events
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
            await stream.aclose()


def finals(events: list[stt.SpeechEvent]) -> str:
    """All that was said, according to the finals."""
    kind = stt.SpeechEventType.FINAL_TRANSCRIPT
    return " ".join(event.alternatives[0].text for event in events if event.type is kind)


async def speak(voice: tts.TTS[Any], text: str = SENTENCES) -> list[rtc.AudioFrame]:
    """Stream a text through a voice; return its audio."""
    async with asyncio.timeout(DEADLINE_S), voice.stream() as stream:
        stream.push_text(text)
        stream.end_input()
        return [event.frame async for event in stream]


async def speak_whole(voice: tts.TTS[Any], text: str = SENTENCES) -> list[rtc.AudioFrame]:
    """Speak a text in one request; return its audio."""
    async with asyncio.timeout(DEADLINE_S), voice.synthesize(text) as stream:
        return [event.frame async for event in stream]


def seconds(audio: list[rtc.AudioFrame]) -> float:
    """How long audio lasts."""
    return sum(frame.duration for frame in audio)


def speech_at_16k(audio: list[rtc.AudioFrame]) -> list[rtc.AudioFrame]:
    """The same audio for a recogniser."""
    whole = rtc.combine_audio_frames(audio)
    if whole.sample_rate == 16_000:
        return frames(bytes(whole.data))
    resampler = rtc.AudioResampler(whole.sample_rate, 16_000)
    return [*resampler.push(whole), *resampler.flush()]
