"""A call without a room: the real session and agent, an ear and a mouth made of memory.

Everything below the session is real: the plugins, their sockets and the gateway. The simulated
recogniser hears any sound as the words of its script, and so does the detector of voice activity.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import AgentSession, APIConnectOptions, llm
from livekit.agents.utils import http_context
from livekit.agents.voice import io
from livekit.agents.voice.agent_session import SessionConnectOptions

from agent.assistant import Assistant, CallState
from agent.config import load_settings
from agent.providers import build_llm, build_stt, build_tts
from agent.speech.phrases import PhraseCache
from agent.tools.store import Store
from agent.turns import TurnDetector, turn_handling
from tests.sound_vad import SoundVad

_RATE = 16_000
_FRAME_MS = 20
_LOUD = 100
"""Samples below this are silence."""
_VAD_SILENCE_S = 0.15
"""As the worker's."""
CONNECT = APIConnectOptions(max_retry=3, retry_interval=0.5, timeout=5.0)
"""As the worker's."""


class Mouth(io.AudioInput):
    """The caller's microphone: silence, and what is said."""

    def __init__(self) -> None:
        super().__init__(label="mouth")
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._pcm = b""
        self._due: float | None = None

    def say(self, pcm: bytes) -> None:
        """Speak 16 kHz audio from now on."""
        self._said.put_nowait(pcm)

    async def __anext__(self) -> rtc.AudioFrame:
        loop = asyncio.get_running_loop()
        self._due = (self._due or loop.time()) + _FRAME_MS / 1000
        await asyncio.sleep(max(0.0, self._due - loop.time()))
        while not self._said.empty():
            self._pcm += self._said.get_nowait()
        size = _RATE * _FRAME_MS // 1000 * 2
        frame, self._pcm = self._pcm[:size].ljust(size, b"\0"), self._pcm[size:]
        return rtc.AudioFrame(frame, _RATE, 1, size // 2)


class Ear(io.AudioOutput):
    """The caller's loudspeaker, in real time; knows from when to when there was sound."""

    def __init__(self) -> None:
        super().__init__(label="ear", capabilities=io.AudioOutputCapabilities(pause=False))
        self.sounds: list[tuple[float, float]] = []
        """Stretches of sound, in seconds of the loop's clock."""
        self._begun: float | None = None
        self._plays_until = 0.0
        self._ending: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self._ending is not None:  # the next segment waits for the one that is playing
            await asyncio.wait([self._ending])
        await super().capture_frame(frame)
        now = asyncio.get_running_loop().time()
        if self._begun is None:
            self._begun = self._plays_until = now
        start = max(self._plays_until, now)
        self._plays_until = start + frame.duration
        if np.abs(np.frombuffer(frame.data, dtype=np.int16)).max(initial=0) >= _LOUD:
            self.sounds.append((start, self._plays_until))

    def flush(self) -> None:
        super().flush()
        if self._begun is not None and self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="ear")

    def clear_buffer(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        now = asyncio.get_running_loop().time()
        self.sounds = [(start, min(end, now)) for start, end in self.sounds if start < now]
        self._finish(interrupted=True)

    async def _end(self) -> None:
        await asyncio.sleep(max(0.0, self._plays_until - asyncio.get_running_loop().time()))
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        self._ending = None
        if self._begun is None:
            return
        now = asyncio.get_running_loop().time()
        played = min(now, self._plays_until) - self._begun
        self._begun = None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


@dataclass(frozen=True)
class Call:
    """A call that is going on."""

    session: AgentSession[CallState]
    assistant: Assistant
    mouth: Mouth
    ear: Ear
    closed: asyncio.Event

    def dead_air_s(self, since: float) -> float:
        """The longest time without sound, from a time of the loop's clock to the last sound."""
        sounds = [sound for sound in self.ear.sounds if sound[1] > since]
        edges = [(since, since), *sounds]
        return max((b[0] - a[1] for a, b in itertools.pairwise(edges)), default=float("inf"))


@contextlib.asynccontextmanager
async def call(
    url: str,
    *,
    store: Store,
    call_id: str = "call",
    greeting: str = "",
    voice: bool = True,
    model: llm.LLM[Any] | None = None,
) -> AsyncIterator[Call]:
    """The agent in a call of its own.

    Args:
        url: The gateway's.
        store: What the tools act on.
        call_id: The same for each worker that serves the call.
        greeting: Said first.
        voice: Whether there is sound; without it, `Call.session.run` is how to talk.
        model: Instead of the settings'.
    """
    settings = load_settings().model_copy(
        update={"local_gateway_url": url, "greeting": greeting, "openers": []}
    )
    plugins: list[Any] = [model or build_llm(settings)]
    options: dict[str, Any] = {"vad": None, "turn_handling": {"turn_detection": None}}
    detector = SoundVad(silence_s=_VAD_SILENCE_S)
    turns = TurnDetector(settings=settings.turn)
    if voice:
        plugins += [build_stt(settings, vad=detector), build_tts(settings)]
        options |= {"stt": plugins[1], "tts": plugins[2], "vad": detector}
        options["turn_handling"] = turn_handling(settings, turns) | {"turn_detection": "stt"}
    state = CallState(call_id=call_id, store=store, customer_email=settings.customer_email)
    retries = SessionConnectOptions(
        stt_conn_options=CONNECT,
        llm_conn_options=CONNECT,
        tts_conn_options=CONNECT,
        max_unrecoverable_errors=1000,
    )
    async with http_context.open(), contextlib.AsyncExitStack() as closing:
        for plugin in plugins:
            closing.push_async_callback(plugin.aclose)
        session = AgentSession[CallState](
            llm=plugins[0], userdata=state, conn_options=retries, **options
        )
        phrases = PhraseCache(folder=settings.phrases_path, voice=settings.tts)
        assistant = Assistant(settings=settings, model=plugins[0], phrases=phrases, turns=turns)
        mouth, ear, closed = Mouth(), Ear(), asyncio.Event()
        session.on("close", lambda _: closed.set())
        if voice:
            session.input.audio, session.output.audio = mouth, ear
        closing.push_async_callback(session.aclose)
        await session.start(assistant)
        yield Call(session, assistant, mouth, ear, closed)
