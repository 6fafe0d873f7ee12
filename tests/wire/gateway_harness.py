"""Raw clients for the gateway's sockets: nothing here knows the plugins."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from gateway.config import GatewayConfig
from gateway.server import Gateway

AUDIO = Path(__file__).parent.parent / "audio"
TWO_CITIES = (
    "It was the best of times, it was the worst of times. It was the age of wisdom, it was the age "
    "of foolishness. It was the epoch of belief, it was the epoch of incredulity."
)
STT_RATE = 16_000
FRAME_S = 0.02
DEADLINE_S = 10.0


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """A gateway on a free port, and a client session."""
    async with (
        Gateway(GatewayConfig(port=0, **settings)) as gateway,
        aiohttp.ClientSession() as http,
    ):
        yield gateway, http


def tone(seconds: float, rate: int = STT_RATE) -> bytes:
    """Something that counts as speech for the sim recogniser."""
    wave_form = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)
    return (wave_form * 32767).astype("<i2").tobytes()


def silence(seconds: float, rate: int = STT_RATE) -> bytes:
    return bytes(2 * int(seconds * rate))


def two_cities() -> bytes:
    with wave.open(str(AUDIO / "two_cities.wav")) as reader:
        return bytes(reader.readframes(reader.getnframes()))


@dataclass
class Heard:
    """What the recogniser sent: (seconds since the first audio, message)."""

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def finals(self) -> list[str]:
        return [m["transcript"] for _, m in self.messages if m.get("is_final") is True]

    @property
    def partials(self) -> list[tuple[float, str]]:
        return [(at, m["transcript"]) for at, m in self.messages if m.get("is_final") is False]

    def at(self, index: int) -> float:
        return self.messages[index][0]


async def hear(
    http: aiohttp.ClientSession,
    url: str,
    pcm: bytes,
    *,
    then: str | None = '{"type":"CloseStream"}',
    realtime: bool = True,
) -> Heard:
    """Stream audio in 20 ms frames and collect what comes back until the server closes."""
    heard = Heard()
    loop = asyncio.get_running_loop()
    async with http.ws_connect(url) as socket:
        start = loop.time()

        async def collect() -> None:
            async for message in socket:
                heard.messages.append((loop.time() - start, json.loads(message.data)))

        collecting = asyncio.create_task(collect())
        frame = int(FRAME_S * STT_RATE) * 2
        for offset in range(0, len(pcm), frame):
            if realtime:
                await asyncio.sleep(start + (offset + frame) / (2 * STT_RATE) - loop.time())
            if socket.closed:  # by the server, which is what some tests are about
                break
            await socket.send_bytes(pcm[offset : offset + frame])
        if then is not None and not socket.closed:
            await socket.send_str(then)
        await asyncio.wait_for(collecting, DEADLINE_S)
        heard.close_code = socket.close_code
    return heard


async def eventually(condition: Any) -> None:
    """Wait, bounded, until a condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
