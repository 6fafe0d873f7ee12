"""What the caller's audio costs in bandwidth, and in words, by how it is sent to AIgateway."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import aigateway

RATE_HZ = 16_000
_FRAME_MS = 20
_TRAILING_SILENCE_S = 1.0
_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One recording, sent one way.

    Attributes:
        bytes_per_s: Bytes of audio that a second of speech took.
        text: What was understood.
    """

    bytes_per_s: float
    text: str


async def measure(
    pcm: bytes,
    *,
    encoding: aigateway.STTEncoding,
    gateway: str,
    key: str,
    http: aiohttp.ClientSession,
) -> Encoded:
    """Send s16le mono 16 kHz through the plugin in real time, as a caller does.

    Args:
        pcm: The recording.
        encoding: How to send it.
        gateway: Base URL of a gateway with `local/whisper-tiny.en`.
        key: Its key.
        http: Where connections come from.

    Raises:
        TimeoutError: The gateway took longer than a minute.
        APIError: It failed.
    """
    ears = aigateway.STT(
        model="local/whisper-tiny.en",
        encoding=encoding,
        base_url=gateway,
        api_key=key,
        http_session=http,
    )
    pcm += bytes(int(_TRAILING_SILENCE_S * RATE_HZ) * 2)
    try:
        async with asyncio.timeout(_TIMEOUT_S), ears.stream() as stream:
            _, said = await asyncio.gather(_push(stream, pcm), _finals(stream))
    finally:
        await ears.aclose()
    seconds = len(pcm) / (2 * RATE_HZ)
    return Encoded(bytes_per_s=ears.stats.sent_bytes / seconds, text=" ".join(said))


async def _push(stream: stt.RecognizeStream, pcm: bytes) -> None:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    size = 2 * RATE_HZ * _FRAME_MS // 1000
    for start in range(0, len(pcm), size):
        piece = pcm[start : start + size]
        stream.push_frame(rtc.AudioFrame(piece, RATE_HZ, 1, len(piece) // 2))
        await asyncio.sleep(began_at + (start + size) / (2 * RATE_HZ) - loop.time())
    stream.end_input()


async def _finals(stream: stt.RecognizeStream) -> list[str]:
    return [
        event.alternatives[0].text
        async for event in stream
        if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT
    ]
