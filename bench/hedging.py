"""What a second route and hedging do for the caller under faults, and what they cost.

No rooms: two local gateways with simulated stages on real sockets, our plugins, the chain of routes
and the guard of a reply. A turn begins when the caller's turn has ended; nothing is answered ahead,
so the times are those of the stages and not those of a call. Which request meets a fault is decided
by a seed; the same seed is used with each set-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, FlushSentinel, llm, tts
from livekit.agents.metrics import LLMMetrics
from livekit.agents.utils import http_context

from agent.assistant import instructions
from agent.chain.race import Starter, in_turn
from agent.config import Settings
from agent.guard.hedge import HedgedStart
from agent.guard.reply import ReplyGuard
from agent.observe.hedges import HedgeLedger
from agent.providers import build_llm, build_tts
from agent.speech.phrases import PhraseCache
from bench.hedging_mixes import MIXES, Mix
from bench.results import percentile
from gateway.config import GatewayConfig, SimConfig
from gateway.server import Gateway

SEED = 20260
CALLS = 16
"""Calls at once: few enough for two cores to answer in time."""
TURNS = 12
"""Turns of a call: the hedge budget is a call's."""
_APART_S = 0.1
"""From the beginning of one call to that of the next."""
_SIM = SimConfig(tts_realtime_factor=10)
_CONNECT = APIConnectOptions(max_retry=3, retry_interval=0.5, timeout=5.0)
"""As the worker's."""
_QUESTION = "Where is my order?"
_RENDERED_WITHIN_S = 30.0
_EARLIER_TURNS = 6
_ANSWER = "Your order was shipped and arrives on Monday."


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How the model is reached."""

    name: str
    routes: int
    hedged: bool


SET_UPS = (
    SetUp(name="one route", routes=1, hedged=False),
    SetUp(name="two routes", routes=2, hedged=False),
    SetUp(name="two routes, hedged", routes=2, hedged=True),
)


@dataclass(kw_only=True)
class Heard:
    """One turn at the caller's ear, in seconds from the end of the caller's turn.

    Attributes:
        words_s: The first words of the answer; None if none came.
        voice_s: The first sound of the answer.
        dead_s: The longest silence up to the end of the answer, fillers being no silence.
    """

    words_s: float | None = None
    voice_s: float | None = None
    dead_s: float = 0.0


@dataclass(kw_only=True)
class Cell:
    """One set-up under one mix."""

    mix: Mix
    set_up: SetUp
    turns: list[Heard] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    """What the guard said instead of an answer, or until it came."""
    requests: int = 0
    tokens: int = 0
    hedged_requests: int = 0
    hedged_tokens: int = 0

    def times(self, name: str) -> list[float]:
        """One time of all turns, in ms; a turn without it is left out."""
        values = (getattr(turn, name) for turn in self.turns)
        return [value * 1000 for value in values if value is not None]

    def quantile(self, name: str, percent: float) -> float:
        """A percentile of a time, in ms."""
        return percentile(self.times(name), percent) or 0.0

    @property
    def fillers(self) -> int:
        """Fillers that were said, first ones and second ones."""
        return sum(count for phrase, count in self.said.items() if "moment" in phrase)

    @property
    def unanswered(self) -> int:
        """Turns without an answer."""
        return sum(turn.words_s is None for turn in self.turns)


async def measure(
    *,
    calls: int = CALLS,
    turns: int = TURNS,
    mixes: Sequence[Mix] = MIXES,
    say: Callable[[str], None] = lambda _: None,
) -> list[Cell]:
    """Every set-up under every mix, in so many calls of so many turns."""
    cells = []
    with tempfile.TemporaryDirectory(prefix="parley-hedging-") as folder:
        phrases = await _phrases(Path(folder))
        for mix in mixes:
            for set_up in SET_UPS:
                say(f"{mix.name}: {set_up.name}, {calls * turns} turns")
                cells.append(await _cell(mix, set_up, phrases, calls=calls, turns=turns))
    return cells


async def _cell(mix: Mix, set_up: SetUp, phrases: PhraseCache, *, calls: int, turns: int) -> Cell:
    cell = Cell(mix=mix, set_up=set_up)
    async with _gateway() as primary, _gateway() as other, http_context.open():
        settings = _settings(primary, other, set_up)
        # built before anything is timed, as in a worker: reading the certificates takes 0.2 s each
        held = [_Call(cell, settings, phrases) for _ in range(calls)]
        primary.faults.set(mix.primary, seed=SEED)
        other.faults.set(mix.other, seed=SEED + 1)
        await asyncio.gather(*(call.hold(number, turns=turns) for number, call in enumerate(held)))
        cell.requests = sum(
            gateway.stats.stages["llm"].opened + _refused(gateway) for gateway in (primary, other)
        )
    return cell


def _refused(gateway: Gateway) -> int:
    """Requests that a fault answered, which the gateway does not count as opened."""
    return gateway.faults.fired("http_status")


@contextlib.asynccontextmanager
async def _gateway() -> AsyncIterator[Gateway]:
    # markers tell the end of a reply at once, or each turn would last as long as it is heard
    async with Gateway(GatewayConfig(port=0, extended=True, sim=_SIM)) as gateway:
        yield gateway


def _settings(primary: Gateway, other: Gateway, set_up: SetUp) -> Settings:
    return Settings.model_validate(
        {
            "AGENT_LLM": ",".join(["local:sim/llm", "aigateway:sim/llm"][: set_up.routes]),
            "AGENT_TTS": "local:sim/tts",
            "LOCAL_GATEWAY_URL": primary.url,
            "AIGATEWAY_BASE_URL": other.url,
            "AIGATEWAY_API_KEY": "bench",
        }
    )


async def _phrases(folder: Path) -> PhraseCache:
    """What the guard says, as kept audio: as in every call but a worker's first."""
    async with _gateway() as gateway, http_context.open():
        settings = _settings(gateway, gateway, SET_UPS[0])
        cache = PhraseCache(folder=folder, voice=settings.tts)
        voice = build_tts(settings)
        cache.render_missing(voice, settings.guard.phrases)
        async with asyncio.timeout(_RENDERED_WITHIN_S):
            await asyncio.gather(*cache._tasks)
        await voice.aclose()
    return cache


class _Ear:
    """The caller's: plays what it is given in real time and knows its longest silence."""

    def __init__(self, began_at: float) -> None:
        self.longest_silence_s = 0.0
        self._plays_until = began_at

    def hear(self, now: float, frame: rtc.AudioFrame) -> None:
        """Take a frame, to be played after what came before."""
        self.longest_silence_s = max(self.longest_silence_s, now - self._plays_until)
        self._plays_until = max(self._plays_until, now) + frame.duration


class _Call:
    """A caller who asks the same question a few times."""

    def __init__(self, cell: Cell, settings: Settings, phrases: PhraseCache) -> None:
        self._cell = cell
        self._settings = settings
        self._guard = ReplyGuard(settings=settings.guard, phrases=phrases)
        self._ledger = HedgeLedger()
        starter: Starter = in_turn
        if cell.set_up.hedged:
            starter = HedgedStart(budget=settings.guard.budget, hedging=settings.guard.hedging)
            starter.subscribe(self._ledger.hedged)
        self._mind = build_llm(settings, starter=starter)
        self._mind.on("metrics_collected", self._on_metrics)
        self._voice = build_tts(settings)

    async def hold(self, number: int, *, turns: int) -> None:
        """Ask, hear the answer out, ask again."""
        self._voice.prewarm()
        await asyncio.sleep(number * _APART_S)
        try:
            for turn in range(turns):
                self._cell.turns.append(await self._turn(f"call {number}, turn {turn}"))
                self._guard.heard_reply()
        finally:
            await self._mind.aclose()
            await self._voice.aclose()
        self._cell.hedged_requests += self._ledger.requests
        self._cell.hedged_tokens += self._ledger.tokens

    def _on_metrics(self, metrics: LLMMetrics) -> None:
        self._cell.tokens += metrics.prompt_tokens
        self._ledger.used(metrics)

    async def _turn(self, turn_id: str) -> Heard:
        loop = asyncio.get_running_loop()
        began_at, heard = loop.time(), Heard()
        self._guard.committed(turn_id)
        ear = _Ear(began_at)
        segments: asyncio.Queue[_Segment | None] = asyncio.Queue()
        speaking = asyncio.create_task(self._speak(segments, ear, heard, began_at))
        try:
            await self._write(turn_id, segments, heard, began_at)
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        heard.dead_s = ear.longest_silence_s
        return heard

    async def _write(
        self,
        turn_id: str,
        segments: asyncio.Queue[_Segment | None],
        heard: Heard,
        began_at: float,
    ) -> None:
        """The guard's words, cut into segments where it says so, as the framework does."""
        segment: _Segment | None = None
        async for chunk in self._guard.words(turn_id, self._ask):
            if isinstance(chunk, FlushSentinel):
                _end(segment)
                segment = None
                continue
            answer = isinstance(chunk, llm.ChatChunk)
            text = _text_of(chunk)
            if not text:
                continue
            if answer and heard.words_s is None:
                heard.words_s = asyncio.get_running_loop().time() - began_at
            elif not answer:
                self._cell.said[text.strip(" …")] += 1
            if segment is None:
                segment = _Segment(answer=answer)
                segments.put_nowait(segment)
            segment.words.put_nowait(text)
        _end(segment)
        segments.put_nowait(None)

    async def _speak(
        self,
        segments: asyncio.Queue[_Segment | None],
        ear: _Ear,
        heard: Heard,
        began_at: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        while (segment := await segments.get()) is not None:

            async def synthesize(
                words: AsyncIterable[str], answer: bool = segment.answer
            ) -> AsyncIterator[rtc.AudioFrame]:
                async for frame in _synthesized(self._voice, words):
                    if answer and heard.voice_s is None:
                        heard.voice_s = loop.time() - began_at
                    yield frame

            async for frame in self._guard.audio(segment.text(), synthesize):
                ear.hear(loop.time(), frame)

    async def _ask(self) -> AsyncIterator[llm.ChatChunk]:
        stream = self._mind.chat(chat_ctx=_conversation(), conn_options=_CONNECT)
        async with stream:
            async for chunk in stream:
                yield chunk


@dataclass
class _Segment:
    """What is said in one breath: the guard's words, or the answer."""

    answer: bool
    words: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    async def text(self) -> AsyncIterator[str]:
        """The words, as they come."""
        while (piece := await self.words.get()) is not None:
            yield piece


def _end(segment: _Segment | None) -> None:
    if segment is not None:
        segment.words.put_nowait(None)


def _text_of(chunk: llm.ChatChunk | str) -> str:
    if isinstance(chunk, str):
        return chunk
    return (chunk.delta.content or "") if chunk.delta else ""


async def _synthesized(
    voice: tts.TTS[Any], words: AsyncIterable[str]
) -> AsyncIterator[rtc.AudioFrame]:
    async with voice.stream(conn_options=_CONNECT) as stream:
        feeding = asyncio.create_task(_feed(stream, words))
        try:
            async for event in stream:
                yield event.frame
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _feed(stream: tts.SynthesizeStream, words: AsyncIterable[str]) -> None:
    async for text in words:
        stream.push_text(text)
    stream.end_input()


def _conversation() -> llm.ChatContext:
    """As long as a call's in its middle: what a second request costs is its prompt."""
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=instructions([]))
    for _ in range(_EARLIER_TURNS):
        context.add_message(role="user", content=_QUESTION)
        context.add_message(role="assistant", content=_ANSWER)
    context.add_message(role="user", content=_QUESTION)
    return context
