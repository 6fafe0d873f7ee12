"""A scripted server for what the gateway's own faults cannot do, and ears that read its audio.

The audio is made to be decoded: in speech to text each word is a tone whose amplitude is its
number, in text to speech each letter is a constant whose value is the letter. So a test can say
exactly which words a server heard and which letters a caller would have heard, without any
engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np
from aiohttp import web
from livekit import rtc
from livekit.agents import stt, tts, utils

from tests.descriptors import open_sockets

KEY = "sk-aig-canary-0123456789"
STT_RATE = 16000
TTS_RATE = 24000
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet".split()
_WORD_MS = 240
_PAUSE_MS = 40
_MS_PER_LETTER = 70
_TONE_BASE = 4000
_TONE_STEP = 200
_ENDPOINT_MS = 400


# -- the caller's side ---------------------------------------------------------------------------


def say(words: Sequence[str], *, pause_ms: int = 600) -> bytes:
    """PCM of the words, spoken at an even pace, and the silence that ends the utterance."""
    pcm = b""
    for word in words:
        level = _TONE_BASE + _TONE_STEP * WORDS.index(word)
        count = STT_RATE * _WORD_MS // 1000
        tone = np.full(count, level, dtype="<i2")
        tone[1::2] = -level
        pcm += tone.tobytes() + silence(_PAUSE_MS)
    return pcm + silence(pause_ms)


def silence(milliseconds: int, rate: int = STT_RATE) -> bytes:
    return b"\0\0" * (rate * milliseconds // 1000)


def frames(pcm: bytes, *, rate: int = STT_RATE, milliseconds: int = 20) -> list[rtc.AudioFrame]:
    size = rate * milliseconds // 1000 * 2
    return [
        rtc.AudioFrame(
            data=pcm[i : i + size],
            sample_rate=rate,
            num_channels=1,
            samples_per_channel=len(pcm[i : i + size]) // 2,
        )
        for i in range(0, len(pcm), size)
    ]


async def speak(stream: stt.RecognizeStream, pcm: bytes, *, speed: float = 1.0) -> None:
    """Push audio as a microphone would, ``speed`` times as fast."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for frame in frames(pcm):
        stream.push_frame(frame)
        due += frame.duration / speed
        await asyncio.sleep(max(0.0, due - loop.time()))


def letters_in(pcm: bytes) -> str:
    """The letters that the audio of the scripted voice says."""
    values = np.frombuffer(pcm, dtype="<i2").astype(int) - 1000
    if values.size == 0:
        return ""
    edges = np.flatnonzero(np.diff(values)) + 1
    text = ""
    for run in np.split(values, edges):
        letter = int(run[0])
        if letter > 0:
            # a letter that was said half counts as said; doubled letters are one long run
            text += chr(letter) * round(len(run) * 1000 / TTS_RATE / _MS_PER_LETTER + 0.2)
    return text


def letters_of(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def pcm_of(events: Sequence[tts.SynthesizedAudio]) -> bytes:
    return b"".join(event.frame.data.tobytes() for event in events)


# -- the server's side ---------------------------------------------------------------------------


def voice(text: str) -> bytes:
    """The scripted voice saying ``text``."""
    count = TTS_RATE * _MS_PER_LETTER // 1000
    return b"".join(
        np.full(count, 1000 + ord(char), dtype="<i2").tobytes() for char in letters_of(text)
    )


@dataclass
class Ears:
    """Recognises the tones of :func:`say`, as a recogniser that hears only what has been sent."""

    endpoint_ms: int = _ENDPOINT_MS
    words: list[str] = field(default_factory=list)
    _level: int = 0
    _run: int = 0
    _silent: int = 0

    def hear(self, pcm: bytes) -> list[dict[str, object]]:
        """Messages for the audio that has come in."""
        out: list[dict[str, object]] = []
        levels = np.abs(np.frombuffer(pcm, dtype="<i2").astype(int))
        if levels.size == 0:
            return out
        edges = np.flatnonzero(np.diff(levels)) + 1
        for run in np.split(levels, edges):
            out += self._hear_run(int(run[0]), len(run))
        return out

    def _hear_run(self, level: int, count: int) -> list[dict[str, object]]:
        if level != self._level:
            self._level, self._run = level, 0
        before, self._run = self._run, self._run + count
        if level >= _TONE_BASE:
            self._silent = 0
            heard = STT_RATE * _WORD_MS // 1000 * 6 // 10
            if before < heard <= self._run:
                self.words.append(WORDS[(level - _TONE_BASE) // _TONE_STEP])
                return [{"is_final": False, "transcript": " ".join(self.words)}]
            return []
        self._silent += count
        if self.words and self._silent >= STT_RATE * self.endpoint_ms // 1000:
            return [self.final()]
        return []

    def final(self) -> dict[str, object]:
        text, self.words = " ".join(self.words), []
        return {"is_final": True, "transcript": text}


Handler = Callable[["Connection"], Awaitable[None]]


@dataclass
class Connection:
    """One WebSocket as a script sees it."""

    ws: web.WebSocketResponse
    request: web.Request
    index: int
    texts: list[str] = field(default_factory=list)
    audio_bytes: int = 0

    async def send(self, message: dict[str, object]) -> None:
        await self.ws.send_str(json.dumps(message))

    def reset(self) -> None:
        """Drop the connection without a close frame."""
        assert self.request.transport is not None
        self.request.transport.abort()


async def hold(conn: Connection) -> None:
    """Neither read nor answer, not even a ping, until the client has gone."""
    while (transport := conn.request.transport) is not None and not transport.is_closing():
        await asyncio.sleep(0.05)


async def transcribe(conn: Connection, *, until_ms: float = float("inf")) -> None:
    """Recognise like the strict gateway, until so much audio has come in."""
    ears = Ears()
    async for msg in conn.ws:
        if msg.type is aiohttp.WSMsgType.TEXT:
            conn.texts.append(msg.data)
            if "CloseStream" in msg.data:
                if ears.words:
                    await conn.send(ears.final())
                await conn.ws.close()
                return
            continue
        conn.audio_bytes += len(msg.data)
        for message in ears.hear(msg.data):
            await conn.send(message)
        if conn.audio_bytes >= until_ms * STT_RATE * 2 / 1000:
            return


async def synthesize(
    conn: Connection,
    *,
    speed: float = 5.0,
    stop_after_ms: float = float("inf"),
    chunk_bytes: int = 4801,
    marker: dict[str, object] | None = None,
) -> None:
    """Speak each text as it comes; the odd chunk size splits samples. Returns after so much
    audio."""
    room = (
        float("inf") if stop_after_ms == float("inf") else int(stop_after_ms * TTS_RATE / 1000) * 2
    )
    async for msg in conn.ws:
        if msg.type is not aiohttp.WSMsgType.TEXT:
            continue
        text = json.loads(msg.data)["text"]
        conn.texts.append(text)
        audio = voice(text)
        audio = audio[: int(min(room, len(audio)))]
        room -= len(audio)
        for i in range(0, len(audio), chunk_bytes):
            chunk = audio[i : i + chunk_bytes]
            await conn.ws.send_bytes(chunk)
            await asyncio.sleep(len(chunk) / 2 / TTS_RATE / speed)
        if room <= 0:
            return
        if marker is not None:
            await conn.send(marker)


class ScriptedServer:
    """Serves each connection by the next script of its path; the last one repeats."""

    def __init__(self) -> None:
        self.stt: list[Handler] = [transcribe]
        self.tts: list[Handler] = [synthesize]
        self.http: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.connections: dict[str, list[Connection]] = {"stt": [], "tts": []}
        self.requests: list[dict[str, str]] = []
        self.open = 0
        self.url = ""
        self.refuse_with: int | None = None
        """HTTP status that every handshake gets, if set."""

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[ScriptedServer]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/v1/audio/transcriptions/stream", self._serve_stt)
        app.router.add_get("/v1/audio/speech/stream", self._serve_tts)
        app.router.add_route("*", "/v1/{path:.*}", self._serve_http)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve_stt(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_ws(request, "stt", self.stt)

    async def _serve_tts(self, request: web.Request) -> web.StreamResponse:
        return await self._serve_ws(request, "tts", self.tts)

    async def _serve_ws(
        self, request: web.Request, path: str, scripts: list[Handler]
    ) -> web.StreamResponse:
        self.requests.append(dict(request.headers))
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        ws = web.WebSocketResponse(compress=False, max_msg_size=0, timeout=0.5)
        await ws.prepare(request)
        seen = self.connections[path]
        conn = Connection(ws=ws, request=request, index=len(seen))
        seen.append(conn)
        self.open += 1
        try:
            await scripts[min(conn.index, len(scripts) - 1)](conn)
        except ConnectionError:
            pass  # the client hung up, which scripts need not care about
        finally:
            self.open -= 1
            await ws.close()
        return ws

    async def _serve_http(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers))
        await request.read()
        script = self.http[0] if len(self.http) == 1 else self.http.pop(0)
        return await script(request)


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A base URL that accepts connections and never says anything."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def slow_wire(url: str, *, delay_s: float, jitter_s: float) -> AsyncIterator[str]:
    """The same server behind a wire that is late and hands its answers over byte by byte."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    rng = random.Random(7)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slice_bytes: int
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(4096):
                await asyncio.sleep(delay_s + rng.uniform(-jitter_s, jitter_s))
                for i in range(0, len(data), slice_bytes):
                    sink.write(data[i : i + slice_bytes])
                    await sink.drain()
                    await asyncio.sleep(0)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        for coro in (
            pump(reader, up_writer, slice_bytes=4096),
            pump(up_reader, writer, slice_bytes=1),
        ):
            task = asyncio.ensure_future(coro)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        await utils.aio.cancel_and_wait(*tasks)
        await server.wait_closed()


# -- nothing may be left behind ------------------------------------------------------------------


def _is_servers(task: asyncio.Task[object]) -> bool:
    """A script that holds its connection ends with its server, which outlives the plugin."""
    return "RequestHandler" in repr(task.get_coro())


@contextlib.asynccontextmanager
async def no_leaks() -> AsyncIterator[None]:
    """Fail when a task or a socket is still there at the end that was not there before."""
    tasks_before, sockets_before = asyncio.all_tasks(), open_sockets()
    yield
    for _ in range(100):  # transports close on the next turns of the loop
        tasks = {t for t in asyncio.all_tasks() - tasks_before if not _is_servers(t)}
        sockets = open_sockets() - sockets_before
        if not tasks and not sockets:
            return
        await asyncio.sleep(0.02)
    names = sorted(task.get_name() + " " + repr(task.get_coro()) for task in tasks)
    raise AssertionError(f"left behind: {len(sockets)} sockets, tasks {names}")
