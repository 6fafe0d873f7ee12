"""One transcription over the routes of a chain: its audio, its clock, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, stt
from livekit.agents.types import NotGivenOr
from livekit.plugins.gatewaykit.errors import StalledError, exhausted
from livekit.plugins.gatewaykit.feed import AudioFeed
from livekit.plugins.gatewaykit.retry import Backoff
from livekit.plugins.gatewaykit.tasks import run_beside

from .members import Members, as_api_error
from .route import ChainRoute
from .transcript import Transcript

if TYPE_CHECKING:
    from .stt import ChainSTT

_RATE = 16_000
"""Of the ring; what recognisers and the agent's room input have."""
_RING_S = 15.0
"""Audio kept that no final covers yet: 480 KB."""
_PACKET_MS = 50
_TICK_S = 0.1
_OUTAGE_S = 8.0
"""From the first failure to giving up, with all routes failing: the longest a turn may take."""
_QUIET_S = 0.6
"""Silence of the caller before a route is left for a better one."""
_REPLAY_SPEED = 8.0
"""How many times faster than real time plugins hear again what was said."""
_REPLAY_LAG_S = 1.0
"""What comes back may be about the past for so much longer."""
_MOST_PATIENCE = 8.0


class ChainRecognizeStream(stt.RecognizeStream):
    """Made by `ChainSTT.stream`.

    Args:
        chain: The chain as an STT.
        members: Its routes.
        language: As `STT.stream` takes it.
        conn_options: The session's; how long a route is waited for is the chain's own.
    """

    def __init__(
        self,
        chain: ChainSTT,
        *,
        members: Members[stt.STT[Any]],
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(stt=chain, conn_options=conn_options, sample_rate=_RATE)
        self._chain = chain
        self._members = members
        self._language = language
        self._feed = AudioFeed(sample_rate=_RATE, ring_s=_RING_S, detector=None)
        self._transcript = Transcript(self._feed)
        self._backoff = Backoff(maximum_s=1.0)
        self._tried: list[ChainRoute[stt.STT[Any]]] = []
        self._failures: list[tuple[ChainRoute[stt.STT[Any]], APIError]] = []
        self._failing_since: float | None = None
        self._listens_since = self._heard_at = self._live_at = 0.0
        self._patience = 1.0
        self._inner: stt.RecognizeStream | None = None

    @property
    def start_time_offset(self) -> float:
        """Seconds that lie before this stream's first sample; the wall clock plays no part."""
        return self._transcript.origin_s

    @start_time_offset.setter
    def start_time_offset(self, value: float) -> None:
        if value < 0:
            raise ValueError("start_time_offset must be non-negative")
        self._transcript.origin_s = value

    async def aclose(self) -> None:
        """Close this stream immediately."""
        await super().aclose()
        await self._feed.aclose()

    async def _run(self) -> None:
        await run_beside(self._transcribe(), self._take_input())

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[stt.SpeechEvent]) -> None:
        """Nothing: the routes' own streams report."""
        async for _ in event_aiter:
            pass

    async def _take_input(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                await self._feed.add(item, _nothing)
            else:
                await self._feed.flush(_nothing)
                if self._inner is not None:
                    with contextlib.suppress(RuntimeError):  # it has just ended
                        self._inner.flush()
        await self._feed.end(_nothing)

    async def _transcribe(self) -> None:
        """Let one route after the other listen, until the input ends or all keep failing."""
        while True:
            route = await self._next_route()
            try:
                if await self._listen(route):
                    return
            except Exception as e:
                self._note_failure(route, as_api_error(e))
            except BaseException:
                route.abandoned()
                raise

    async def _next_route(self) -> ChainRoute[stt.STT[Any]]:
        """The next route that may be asked; all of them in turn, as long as the caller can wait.

        Raises:
            APIError: They have kept failing for too long.
        """
        rounds = 0
        while True:
            routes = self._members.to_ask(but=self._tried)
            if route := next((route for route in routes if route.begin()), None):
                return route
            now = asyncio.get_running_loop().time()
            if self._failing_since is None:
                self._failing_since = now
            if now - self._failing_since >= _OUTAGE_S:
                error = self._failures[-1][1] if self._failures else APIConnectionError()
                self._failing_since = None
                raise exhausted(error, f"no route heard anything for {_OUTAGE_S:g} s")
            self._tried.clear()
            await asyncio.sleep(max(_TICK_S, self._backoff.delay_s(rounds)))
            rounds += 1

    def _note_failure(self, route: ChainRoute[stt.STT[Any]], error: APIError) -> None:
        self._feed.begin_outage()
        self._members.failed(route, error)
        now = asyncio.get_running_loop().time()
        if self._failing_since is None or now - self._listens_since > _OUTAGE_S:
            # this one has listened for long: what was before it is another story
            self._failing_since, self._tried, self._failures = now, [], []
        self._tried.append(route)
        self._failures = [(r, e) for r, e in self._failures if r is not route] + [(route, error)]
        if isinstance(error, StalledError):
            # one that is only slow is made slower by asking another one as slow
            self._patience = min(_MOST_PATIENCE, 2 * self._patience)

    async def _listen(self, route: ChainRoute[stt.STT[Any]]) -> bool:
        """Let a route listen until the input ends (True) or a better route can take over.

        Raises:
            APIError: It failed.
        """
        self._heard_at = self._listens_since = asyncio.get_running_loop().time()
        self._rewind()
        options = APIConnectOptions(max_retry=0, timeout=self._members.waits.connect_s)
        inner = route.plugin.stream(language=self._language, conn_options=options)
        inner.start_time_offset = self._transcript.time_of(self._feed.ring.start)
        self._inner, self._done = inner, asyncio.Event()
        again_s = self._feed.ring.unsent / _RATE / _REPLAY_SPEED
        self._live_at = self._heard_at + again_s + _REPLAY_LAG_S
        try:
            async with inner:
                hearing = self._send(inner), self._receive(inner, route)
                ended = await run_beside(self._watch(route), *hearing)
        finally:
            self._inner = None
        return ended

    def _rewind(self) -> None:
        """Make ready to send what no final covers; tell what of it is gone."""
        lost_from, lost_to = self._feed.ring.rewind()
        self._feed.end_outage()
        if lost := self._feed.runs.voiced_between(lost_from, lost_to):
            self._chain.speech_lost(lost / _RATE)

    async def _send(self, inner: stt.RecognizeStream) -> None:
        while not self._feed.finished:
            _, pcm = self._feed.take(_RATE * _PACKET_MS // 1000, owed=self._transcript.owed)
            if not pcm:
                await self._feed.wait_for_audio()
                continue
            try:
                inner.push_frame(rtc.AudioFrame(pcm, _RATE, 1, len(pcm) // 2))
            except RuntimeError:  # it has just failed, and `_receive` tells why
                return
        with contextlib.suppress(RuntimeError):
            inner.end_input()

    async def _receive(self, inner: stt.RecognizeStream, route: ChainRoute[stt.STT[Any]]) -> None:
        async for event in inner:
            self._heard_at = now = asyncio.get_running_loop().time()
            for told in self._transcript.on_event(event, live=now >= self._live_at):
                self._event_ch.send_nowait(told)
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._note_served(route)
        if not self._feed.finished:
            raise APIConnectionError("the recogniser ended before its input")
        self._done.set()

    def _note_served(self, route: ChainRoute[stt.STT[Any]]) -> None:
        route.served()
        self._members.switched([f for f in self._failures if f[0] is not route], route)
        self._chain._active_instance = route.plugin
        self._members.serves(route)
        self._failures, self._tried = [], []
        self._failing_since, self._patience = None, 1.0
        self._num_retries = 0  # as the framework does at a final

    async def _watch(self, route: ChainRoute[stt.STT[Any]]) -> bool:
        """Wait until all was heard (True), or a better route is there and nothing is going on.

        Raises:
            StalledError: It owes a final, and the caller has stopped.
        """
        while not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._done.wait()
            for told in self._transcript.on_tick():
                self._event_ch.send_nowait(told)
            silent_s = self._feed.runs.silent_ms / 1000
            quiet_s = min(silent_s, asyncio.get_running_loop().time() - self._heard_at)
            if self._transcript.owed and quiet_s >= self._members.waits.final_s * self._patience:
                raise StalledError("no final although the caller has stopped")
            better = self._members.first is not route and self._members.first.available
            if better and silent_s >= _QUIET_S and not self._transcript.unheard:
                route.abandoned()
                return False
        return True


def _nothing() -> None:
    """Audio was added: the route's own stream has a clock of its own."""
