"""One decode at a time, finals before partials."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.speech.vad import Samples

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class DecodedWord:
    """One word; times are seconds from the start of the decoded audio."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What was heard in one stretch of audio; an empty text means: no speech worth telling."""

    text: str
    confidence: float = 0.0
    words: tuple[DecodedWord, ...] = ()


class Decode(Protocol):
    """A blocking recogniser of up to 30 s of audio at 16 kHz."""

    def __call__(self, samples: Samples, *, final: bool, words: bool) -> Decoded:
        """Recognise; `final` permits a slower second look, `words` asks for word times."""


class DecodeQueue:
    """Runs decodes in one thread of its own, so that the event loop and other cores stay free."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._busy = False
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def decode(
        self, audio: Callable[[], Samples | None], *, final: bool, words: bool = False
    ) -> Decoded | None:
        """Decode what `audio` returns when the turn of this job has come.

        Asking so late keeps partials from being made of stale audio; a job whose `audio` is None by
        then is dropped, and None returned.
        """
        async with self._turn(priority=0 if final else 1):
            samples = audio()
            if samples is None:
                return None
            return await self._in_thread(lambda: self._decode(samples, final=final, words=words))

    async def run(self, job: Callable[[], _Result]) -> _Result:
        """Run another blocking job of the same engine, after all partials that wait."""
        async with self._turn(priority=2):
            return await self._in_thread(job)

    def close(self) -> None:
        """Let the thread end after the decode it is in."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, job: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    @asynccontextmanager
    async def _turn(self, *, priority: int) -> AsyncIterator[None]:
        if self._busy:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._order), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()  # the turn was given to us in the same step
                raise
        self._busy = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._busy = False
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._busy = True
                turn.set_result(None)
                return
