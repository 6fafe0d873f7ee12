"""A media server alone, for tests that bring their own agent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from caller.floor import Echo, Tone
from caller.room import Caller
from caller.voice import Voice
from demo import media_server
from demo.processes import Child
from demo.stack import HOST, Ports
from tests.room.scripted_agent import ScriptedAgent

API_KEY, API_SECRET = "caller-tests", "a-secret-of-the-tests-with-more-than-32-characters"
SERVER_START_S = 20.0


@dataclass(frozen=True)
class Media:
    url: str

    def caller(self, room: str, *, record: Path | None = None) -> Caller:
        voice = Voice(synthesizer=Tone())
        return Caller(self.url, API_KEY, API_SECRET, room=room, voice=voice, record=record)

    def agent(self, room: str) -> ScriptedAgent:
        return ScriptedAgent(self.url, API_KEY, API_SECRET, room=room)

    def echo(self, room: str, *, delay_s: float = 0.0) -> Echo:
        return Echo(self.url, API_KEY, API_SECRET, room=room, delay_s=delay_s)


@asynccontextmanager
async def running_media(folder: Path) -> AsyncIterator[Media]:
    """Start a media server; that there is none is an error, never a skip."""
    ports = Ports.free()
    config = folder / "livekit.yaml"
    config.write_text(
        f"port: {ports.livekit}\nbind_addresses: ['{HOST}']\n"
        f"rtc: {{tcp_port: {ports.rtc_tcp}, udp_port: {ports.rtc_udp}, node_ip: {HOST}}}\n"
        f"keys: {{{API_KEY}: {API_SECRET}}}\n"
    )
    command = [*media_server.command(), "--config", str(config)]
    server = Child(
        "livekit-server", command, env=dict(os.environ), log=folder / "server.log", cwd=folder
    )
    await server.start()
    try:
        await answers(f"http://{HOST}:{ports.livekit}/")
        yield Media(f"ws://{HOST}:{ports.livekit}")
    finally:
        await server.stop()


async def answers(url: str) -> None:
    async with asyncio.timeout(SERVER_START_S), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
