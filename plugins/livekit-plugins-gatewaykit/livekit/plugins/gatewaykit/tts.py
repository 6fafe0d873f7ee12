"""Text to speech through a gateway: text in, clauses of a script, audio out.

A plugin adds how a reply is fetched: it makes a :class:`Reply` of a script. What LiveKit asks of a
``TTS`` and of its streams stands here once.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Never, Protocol

import aiohttp
from livekit.agents import APIConnectOptions, APIError, tokenize, tts, utils
from livekit.agents.metrics import TTSMetrics
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    USERDATA_TTS_STARTED_TIME,
    NotGivenOr,
)
from livekit.agents.utils import is_given

from .clauses import ClauseTokenizer
from .faults import FaultLog
from .log import logger
from .retry import JitteredConnectOptions
from .script import Script, SpeakingPace
from .tasks import run_beside

_NUM_CHANNELS = 1
_MIN_SAMPLE_RATE = 8000
_MAX_SAMPLE_RATE = 48000
_FRAME_MS = 200
_FLUSHED_S = 0.01
"""The framework's emitter has passed on by then what it held."""
_NOTHING_TO_SAY_MS = 20
"""Silence that stands for text without a letter or digit, for which no server sends audio."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """How the first connection of a reply was got.

    Attributes:
        acquire_s: Seconds from asking for it to having it.
        reused: Whether its handshake had been done before.
    """

    acquire_s: float = 0.0
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class ReplyEvents:
    """What a stream wants to know while its reply is spoken."""

    on_start: Callable[[Start], None]
    """The first text is about to be sent."""
    on_audio: Callable[[bytes], None]
    """Whole samples of 16-bit PCM."""
    on_resume: Callable[[APIError], None]
    """A reply was cut short, and its rest is asked for anew."""


class Reply(Protocol):
    """A reply being fetched."""

    @property
    def started(self) -> bool:
        """Whether any text was sent."""

    @property
    def characters_sent(self) -> int:
        """Characters of text that the gateway was given, those said anew included."""

    async def run(self) -> None:
        """Speak the script to its end.

        Raises:
            APIError: The gateway failed for good.
        """


class TTS(tts.TTS[Never]):
    """What the voices of gateways have in common.

    Args:
        sample_rate: Hz of the audio, 8000 to 48000.
        provider: The gateway's name.
        clause_chars: Longest clause that is asked for in one piece.
        tokenizer: Cuts text into clauses; by default a sentence leaves at its end, without waiting
            for the next.
        http_session: Defaults to the job's session.

    Raises:
        ValueError: The sample rate is out of range.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        provider: str,
        clause_chars: int,
        tokenizer: NotGivenOr[tokenize.SentenceTokenizer],
        http_session: aiohttp.ClientSession | None,
    ) -> None:
        if not _MIN_SAMPLE_RATE <= sample_rate <= _MAX_SAMPLE_RATE:
            raise ValueError(
                f"sample_rate must be {_MIN_SAMPLE_RATE} to {_MAX_SAMPLE_RATE} Hz, "
                f"got {sample_rate}"
            )
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=False),
            sample_rate=sample_rate,
            num_channels=_NUM_CHANNELS,
        )
        self.faults = FaultLog(stage="tts", provider=provider)
        """The faults that were met, healed ones included."""
        self._provider = provider
        self._clause_chars = clause_chars
        self._tokenizer = tokenizer if is_given(tokenizer) else ClauseTokenizer()
        self._pace = SpeakingPace()
        self._session = http_session
        self._streams = weakref.WeakSet[SynthesizeStream | ChunkedStream]()

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return self._provider

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """Speak a text that is complete."""
        stream = ChunkedStream(owner=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SynthesizeStream:
        """Open a stream; text pushed to it comes back as audio, clause by clause."""
        stream = SynthesizeStream(owner=self, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """Close every stream."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()

    @abstractmethod
    def _make_reply(self, script: Script, *, events: ReplyEvents, connect_s: float) -> Reply:
        """A reply that speaks ``script`` with the present options.

        Args:
            script: What to say; clauses may still be added while the reply runs.
            events: Called while it runs.
            connect_s: Longest wait for a connection, in seconds.
        """

    def _make_script(self) -> Script:
        return Script(max_clause_chars=self._clause_chars)

    def _on_resume(self, error: APIError) -> None:
        """A reply goes on over another connection: one recoverable error event, one log line."""
        self.emit(
            "error",
            tts.TTSError(timestamp=time.time(), label=self._label, error=error, recoverable=True),
        )
        logger.warning("reply cut short, asking for the rest", extra={"error": str(error)})

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session


class ChunkedStream(tts.ChunkedStream):
    """Made by :meth:`TTS.synthesize`."""

    def __init__(self, *, owner: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(
            tts=owner, input_text=input_text, conn_options=JitteredConnectOptions.of(conn_options)
        )
        self._owner = owner

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._owner, stream=False)
        script = self._owner._make_script()
        for clause in self._owner._tokenizer.tokenize(self._input_text):
            script.add(clause)
        script.end()
        events = ReplyEvents(
            on_start=self._on_start,
            on_audio=output_emitter.push,
            on_resume=self._owner._on_resume,
        )
        reply = self._owner._make_reply(script, events=events, connect_s=self._conn_options.timeout)
        await reply.run()
        if self._input_text.strip() and not reply.started:
            output_emitter.push(_silence(self._owner.sample_rate))

    def _on_start(self, start: Start) -> None:
        self._acquire_time = start.acquire_s
        self._connection_reused = start.reused


class SynthesizeStream(tts.SynthesizeStream):
    """Made by :meth:`TTS.stream`."""

    def __init__(self, *, owner: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=owner, conn_options=JitteredConnectOptions.of(conn_options))
        self._owner = owner
        self._sent_at = 0.0

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._owner, stream=True)
        self._owner.prewarm()  # while the first sentence is still being written
        script = self._owner._make_script()
        events = ReplyEvents(
            on_start=lambda start: self._on_start(start, output_emitter),
            on_audio=output_emitter.push,
            on_resume=self._owner._on_resume,
        )
        reply = self._owner._make_reply(script, events=events, connect_s=self._conn_options.timeout)
        try:
            await run_beside(reply.run(), self._write(script))
        except asyncio.CancelledError:
            self._report_cancelled(reply)
            raise
        except APIError:
            # the emitter holds a frame back; whoever goes on counts what came out as heard
            output_emitter.flush()
            await asyncio.sleep(_FLUSHED_S)
            raise
        if self._pushed_text.strip() and not reply.started:
            self._on_start(Start(), output_emitter)
            output_emitter.push(_silence(self._owner.sample_rate))
        output_emitter.end_segment()

    def _on_start(self, start: Start, output_emitter: tts.AudioEmitter) -> None:
        self._acquire_time = start.acquire_s
        self._connection_reused = start.reused
        output_emitter.start_segment(segment_id=utils.shortuuid("seg_"))
        self._mark_started()
        self._sent_at = self._started_time

    async def __anext__(self) -> tts.SynthesizedAudio:
        """The next audio, marked with the time at which the first text was sent.

        The base class marks it too, but forgets the time once the reply is synthesised to its end,
        and that may be before anybody asks for the first frame.
        """
        event = await super().__anext__()
        event.frame.userdata[USERDATA_TTS_STARTED_TIME] = self._sent_at
        return event

    def _report_cancelled(self, reply: Reply) -> None:
        """Report the use of a reply that was cut off, which is billed too.

        The base class reports only replies that were synthesised to their end.
        """
        if not reply.characters_sent:
            return
        owner = self._owner
        owner.emit(
            "metrics_collected",
            TTSMetrics(
                label=owner.label,
                request_id="",
                timestamp=time.time(),
                ttfb=-1.0,
                duration=time.perf_counter() - self._started_time,
                audio_duration=0.0,
                cancelled=True,
                characters_count=reply.characters_sent,
                streamed=True,
                acquire_time=self._acquire_time,
                connection_reused=self._connection_reused,
                metadata=Metadata(model_name=owner.model, model_provider=owner.provider),
            ),
        )

    async def _write(self, script: Script) -> None:
        """Cut the text that comes in into the clauses of ``script``."""
        clauses = self._owner._tokenizer.stream()
        try:
            await run_beside(self._collect(clauses, script), self._tokenize(clauses))
        finally:
            await clauses.aclose()
        script.end()

    async def _tokenize(self, clauses: tokenize.SentenceStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, str):
                clauses.push_text(item)
            else:
                clauses.flush()
        clauses.end_input()

    @staticmethod
    async def _collect(clauses: tokenize.SentenceStream, script: Script) -> None:
        async for clause in clauses:
            script.add(clause.token)


def _initialize(output_emitter: tts.AudioEmitter, owner: TTS, *, stream: bool) -> None:
    output_emitter.initialize(
        request_id=utils.shortuuid("tts_"),
        sample_rate=owner.sample_rate,
        num_channels=_NUM_CHANNELS,
        mime_type="audio/pcm",
        frame_size_ms=_FRAME_MS,
        stream=stream,
    )


def _silence(sample_rate: int) -> bytes:
    return b"\0\0" * (sample_rate * _NOTHING_TO_SAY_MS // 1000)
