"""The eighty-line loop of AIgateway's own example: three sockets and no room.

`python -m bench.peers.seed_loop FILE...`: each WAV file is "said" into the microphone in real time,
and the time from the end of its speech to the first audio for the loudspeaker is printed as JSON.
There is no voice activity detection, no interruption and no transport in it. Each line has a
microphone socket of its own, as the sim recogniser's script begins anew with each.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import numpy as np

from caller.activity import Samples, speech_bounds
from caller.audio import EAR_RATE, read_wav, resample

GATEWAY = os.environ["BENCH_GATEWAY"]
FRAMES = 1024  # samples the example reads from the microphone at once
SYSTEM = "You are a helpful voice assistant. Keep replies under 3 sentences, no markdown."
PAUSE_S = 2.0  # silence after a line: the reply has been sent by then
REPLY_TIMEOUT_S = 10.0

OnText = Callable[[str], Awaitable[None]]


class Loop:
    """Listen, think, speak; the example's functions as methods, over aiohttp."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._buffer = ""
        self._history: list[dict[str, str]] = []
        self.sounded: asyncio.Future[float] | None = None
        """Takes the time of the next reply's first audio."""

    async def speak(self) -> aiohttp.ClientWebSocketResponse:
        """Open the voice once; sentences are pushed as they form."""
        self._voice = await self._http.ws_connect(f"{GATEWAY}/audio/speech/stream?model=sim/tts")
        return self._voice

    async def drain(self) -> None:
        """The loudspeaker: note when a reply's first audio comes."""
        async for message in self._voice:
            waited_for = self.sounded and not self.sounded.done()
            if message.type is aiohttp.WSMsgType.BINARY and self.sounded and waited_for:
                self.sounded.set_result(time.monotonic())

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Each final is a turn."""
        async for message in socket:
            event = json.loads(message.data)
            alternatives = event.get("channel", {}).get("alternatives", [{}])
            if event.get("is_final"):
                self._history.append({"role": "user", "content": alternatives[0]["transcript"]})
                await self._think()

    async def _think(self) -> None:
        body = {
            "model": "sim/llm",
            "messages": [{"role": "system", "content": SYSTEM}, *self._history],
            "stream": True,
        }
        async with self._http.post(f"{GATEWAY}/chat/completions", json=body) as answer:
            async for line in answer.content:
                data = line.decode().removeprefix("data: ").strip()
                if not data or data == "[DONE]":
                    continue
                choices = json.loads(data)["choices"]
                if choices and (token := choices[0]["delta"].get("content")):
                    await self._on_token(token)

    async def _on_token(self, token: str) -> None:
        self._buffer += token
        if self._buffer[-1] in ".?!":
            await self._voice.send_str(json.dumps({"text": self._buffer}))
            self._buffer = ""


async def main(files: list[str]) -> None:
    """Say every file and print the reply times."""
    recordings = [_recording(Path(file)) for file in files]
    async with aiohttp.ClientSession() as http:
        loop = Loop(http)
        async with await loop.speak():
            draining = asyncio.create_task(loop.drain())
            for samples, end_s in recordings:
                turn = await _turn(http, loop, samples, end_s)
                print(json.dumps(turn | {"llm_requests": 1}), flush=True)
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
    print("bench: done", flush=True)


async def _turn(
    http: aiohttp.ClientSession, loop: Loop, samples: Samples, end_s: float
) -> dict[str, object]:
    url = f"{GATEWAY}/audio/transcriptions/stream?model=sim/stt"
    async with http.ws_connect(url) as microphone:
        listening = asyncio.create_task(loop.listen(microphone))
        loop.sounded = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        await _say(samples, microphone)
        try:
            heard = await asyncio.wait_for(loop.sounded, REPLY_TIMEOUT_S)
        except TimeoutError:
            return {"failed": True}
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    return {"heard_ms": round((heard - began - end_s) * 1000, 1)}


def _recording(path: Path) -> tuple[Samples, float]:
    """A line with silence after it, and when its speech ends, seconds."""
    samples, rate = read_wav(path)
    samples = resample(samples, rate=rate, to=EAR_RATE)
    bounds = speech_bounds(samples, rate=EAR_RATE)
    assert bounds is not None, path
    silence = np.zeros(round(PAUSE_S * EAR_RATE), dtype=np.int16)
    return np.concatenate([samples, silence]), bounds[1] / EAR_RATE


async def _say(samples: Samples, socket: aiohttp.ClientWebSocketResponse) -> None:
    """Send as a microphone does: a block when its last sample has been spoken."""
    began = time.monotonic()
    for first in range(0, len(samples), FRAMES):
        due = began + (first + FRAMES) / EAR_RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await socket.send_bytes(samples[first : first + FRAMES].tobytes())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
