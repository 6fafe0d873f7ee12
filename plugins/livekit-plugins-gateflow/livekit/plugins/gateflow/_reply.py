"""Speaks one script clause by clause, each fetched ahead, saying nothing twice.

LiveKit's base class tries a reply again only while no audio has come out. So a failure before the
first audio is raised, and the framework's loop counts it; a failure after it is healed here: the
words of the clause that were not heard are asked for again.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import aiohttp
from livekit.agents import APIError
from livekit.plugins.gatewaykit.errors import exhausted
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.retry import Backoff, is_retryable
from livekit.plugins.gatewaykit.script import Script, SpeakingPace, spoken_letters, unspoken
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.tts import ReplyEvents, Start

from ._clause import Clause, SpeechOptions

_AHEAD = 2
"""Clauses requested at a time: the one that is heard, and the next."""


class Reply:
    """One reply.

    Args:
        script: What to say.
        options: How to say it.
        session: Where connections come from.
        pace: The voice's pace; learns from this reply.
        faults: Notes the faults that it meets.
        events: Callbacks.
        connect_s: Longest wait for a connection, in seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        options: SpeechOptions,
        session: aiohttp.ClientSession,
        pace: SpeakingPace,
        faults: FaultLog,
        events: ReplyEvents,
        connect_s: float,
    ) -> None:
        self._script = script
        self._options = options
        self._session = session
        self._pace = pace
        self._faults = faults
        self._events = events
        self._connect_s = connect_s
        self._backoff = Backoff()
        self._ready: asyncio.Queue[Clause | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._open: set[Clause] = set()
        self._started = False
        self._spoken = False
        self._resumes = 0
        self.characters_sent = 0
        """Characters of text that the gateway was given, those asked for anew included."""

    @property
    def started(self) -> bool:
        """Whether there was anything to say."""
        return self._started

    async def run(self) -> None:
        """Speak the script to its end.

        Raises:
            APIError: It cannot be finished; never retryable once audio has come out.
        """
        try:
            await run_beside(self._play(), self._fetch_ahead())
        finally:
            await asyncio.gather(*(clause.aclose() for clause in self._open))

    async def _fetch_ahead(self) -> None:
        index = 0
        while (text := await self._script.get(index)) is not None:
            index += 1
            await self._room.acquire()
            if not self._started:
                self._started = True
                self._events.on_start(Start())
            self._ready.put_nowait(self._request(text))
        self._ready.put_nowait(None)

    def _request(self, text: str) -> Clause:
        clause = Clause(
            text,
            options=self._options,
            session=self._session,
            faults=self._faults,
            connect_s=self._connect_s,
        )
        self._open.add(clause)
        self.characters_sent += len(text)
        return clause

    async def _play(self) -> None:
        while (clause := await self._ready.get()) is not None:
            rest = await self._hear(clause)
            while rest is not None:
                rest = await self._hear(self._request(rest))
            self._room.release()

    async def _hear(self, clause: Clause) -> str | None:
        """Pass on the audio of a clause; return what is left to say of it, if anything."""
        try:
            async with aclosing(clause.audio()) as pieces:
                async for piece in pieces:
                    self._spoken = True
                    self._events.on_audio(piece)
        except APIError as exc:
            return await self._rest(exc, clause)
        finally:
            self._open.discard(clause)
            await clause.aclose()
        self._pace.observe(letters=spoken_letters(clause.text), audio_s=clause.heard_s)
        return None

    async def _rest(self, error: APIError, clause: Clause) -> str | None:
        self._faults.note_error(error)
        if not self._spoken:
            raise error
        rest = unspoken(clause.text, self._pace.letters_in(clause.heard_s))
        if not rest:
            return None  # what was lost was the end, and everything had been heard
        if not is_retryable(error) or self._resumes >= self._options.limits.resumes:
            raise exhausted(error, "the reply was cut short") from None
        self._resumes += 1
        self._events.on_resume(error)
        if self._resumes > 1:
            await asyncio.sleep(self._backoff.delay_s(self._resumes))
        return rest
