"""The gateway with a fault script in force, and raw clients for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.config import BrainConfig, SimConfig
from gateway.server import Gateway
from tests.wire.gateway_harness import serving, silence, tone

STT = "/audio/transcriptions/stream?model=sim/stt"
TTS = "/audio/speech/stream?model=sim/tts"
ORDER = "what is the status of my order"
FAST = SimConfig(
    tts_connect_ms=0,
    tts_first_audio_ms=0,
    tts_realtime_factor=1_000,
    llm_first_token_ms=0,
    llm_tokens_per_s=10_000,
)
BRAIN = BrainConfig(first_token_ms=0, words_per_s=10_000)
CHAR_BYTES = 60 * 24 * 2
UTTERANCE = tone(0.5) + silence(0.4)


def a_fault(stage: str, do: str, **fields: Any) -> Any:
    return {"stage": stage, "do": do} | fields


@asynccontextmanager
async def faulty(
    *faults: Any, seed: int = 1
) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """A gateway with a fault script in force."""
    async with serving(sim=FAST, brain=BRAIN) as (gateway, http):
        gateway.faults.set(faults, seed=seed)
        yield gateway, http


def chat(text: str = "Tell me a joke", **fields: Any) -> dict[str, Any]:
    return {
        "model": "local/brain",
        "stream": True,
        "messages": [{"role": "user", "content": text}],
    } | fields


async def answer_body(http: aiohttp.ClientSession, gateway: Gateway, **fields: Any) -> bytes:
    """What came of the answer's body until it ended or broke off."""
    body = bytearray()
    try:
        async with http.post(gateway.url + "/chat/completions", json=chat(**fields)) as answer:
            async for data in answer.content.iter_any():
                body += data
    except aiohttp.ClientPayloadError:
        pass
    return bytes(body)


async def speak(ws: aiohttp.ClientWebSocketResponse, text: str) -> None:
    await ws.send_str(json.dumps({"text": text}))


async def messages_of(ws: aiohttp.ClientWebSocketResponse, quiet_s: float = 0.3) -> list[Any]:
    """Messages until nothing more comes or the socket ends."""
    messages = []
    try:
        while True:
            message = await ws.receive(timeout=quiet_s)
            messages.append(message)
            if message.type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            ):
                return messages
    except TimeoutError:
        return messages


def audio_of(messages: list[Any]) -> bytes:
    return b"".join(m.data for m in messages if m.type is aiohttp.WSMsgType.BINARY)
