"""Text to speech through AIgateway: a WebSocket for every reply, with the next one always warm."""

from __future__ import annotations

import asyncio
import time
import weakref
from dataclasses import replace
from typing import Never

import aiohttp
from livekit.agents import APIConnectOptions, APIError, tokenize, tts, utils
from livekit.agents.metrics import TTSMetrics
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.gatewaykit.clauses import ClauseTokenizer
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.pool import Lease, SparePool
from livekit.plugins.gatewaykit.retry import JitteredConnectOptions
from livekit.plugins.gatewaykit.script import Script, SpeakingPace
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.url import resolve_api_key, resolve_base_url
from livekit.plugins.gatewaykit.websocket import Socket

from ._limits import TTSTimeouts
from ._options import ACCOUNT, TTSOptions
from ._reply import Reply, ReplyEvents
from ._stats import TTSStats
from .models import EndOfInput, TTSModels, TTSVoices

_NUM_CHANNELS = 1
_FRAME_MS = 200
_NOTHING_TO_SAY_MS = 20
"""Silence that stands for text without a letter or digit, for which no server sends audio."""


class TTS(tts.TTS[Never]):
    """AIgateway text to speech."""

    def __init__(
        self,
        *,
        model: TTSModels | str = "elevenlabs/eleven-turbo-v3",
        voice: TTSVoices | str = "rachel",
        sample_rate: int = 24000,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str] = NOT_GIVEN,
        tokenizer: NotGivenOr[tokenize.SentenceTokenizer] = NOT_GIVEN,
        end_of_input: EndOfInput = "none",
        tag: str = "voice.tts",
        timeouts: TTSTimeouts = TTSTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of AIgateway TTS.

        Args:
            model: Model slug, ``vendor/model``.
            voice: Name of one of the vendor's voices.
            sample_rate: Hz of the audio that the gateway sends: 24000 as documented. The wire form
                names no rate, so a wrong one here is heard as a wrong pitch.
            base_url: Defaults to ``AIGATEWAY_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``AIGATEWAY_API_KEY``.
            tokenizer: Cuts text into what is sent in one message. The default releases a sentence
                at its end, without waiting for the next.
            end_of_input: ``none``, or ``empty`` to end a reply's text with ``{"text": ""}`` for
                gateways that answer it with a marker or a close.
            tag: Label under which the gateway books the cost (``x-aig-tag``).
            timeouts: Every wait.
            limits: Every size.
            http_session: Defaults to the job's session.

        Raises:
            ValueError: There is no key, or an argument is out of range.
        """
        if not 8000 <= sample_rate <= 48000:
            raise ValueError(f"sample_rate must be 8000 to 48000 Hz, got {sample_rate}")
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=False),
            sample_rate=sample_rate,
            num_channels=_NUM_CHANNELS,
        )
        self._opts = TTSOptions(
            model=model,
            voice=voice,
            sample_rate=sample_rate,
            base_url=resolve_base_url(base_url, ACCOUNT),
            api_key=resolve_api_key(api_key, ACCOUNT),
            tag=tag,
            end_of_input=end_of_input,
            timeouts=timeouts,
            limits=limits,
        )
        self.stats = TTSStats()
        self.faults = FaultLog(stage="tts", provider=self.provider)
        """The faults that replies and spares have met, healed ones included."""
        self._tokenizer = tokenizer if is_given(tokenizer) else ClauseTokenizer()
        self._pace = SpeakingPace()
        self._session = http_session
        self._streams = weakref.WeakSet[SynthesizeStream | ChunkedStream]()
        self._pool = SparePool(
            name="aigateway.tts",
            connect=self._connect,
            connect_timeout_s=DEFAULT_API_CONNECT_OPTIONS.timeout,
            spare_max_age_s=timeouts.spare_max_age_s,
        )

    @property
    def model(self) -> str:
        """The model slug."""
        return self._opts.model

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return "AIgateway"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """Speak a text that is complete."""
        stream = ChunkedStream(tts=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SynthesizeStream:
        """Open a stream; text pushed to it comes back as audio, sentence by sentence."""
        stream = SynthesizeStream(tts=self, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def update_options(
        self,
        *,
        model: NotGivenOr[TTSModels | str] = NOT_GIVEN,
        voice: NotGivenOr[TTSVoices | str] = NOT_GIVEN,
    ) -> None:
        """Change the voice from the next reply on; the present one is finished in the old one."""
        opts = replace(
            self._opts,
            model=model if is_given(model) else self._opts.model,
            voice=voice if is_given(voice) else self._opts.voice,
        )
        if opts != self._opts:
            self._opts = opts
            self._pace = SpeakingPace()
            # both are part of the address that the spare is connected to
            self._pool.invalidate()

    def prewarm(self) -> None:
        """Connect the first reply's socket ahead of it."""
        self._pool.prewarm()

    async def aclose(self) -> None:
        """Close every stream and socket."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()
        await self._pool.aclose()

    def _make_reply(self, script: Script, *, events: ReplyEvents, connect_s: float) -> Reply:
        """A reply that speaks ``script`` with the present options."""
        return Reply(
            script,
            options=self._opts,
            pool=self._pool,
            pace=self._pace,
            stats=self.stats,
            faults=self.faults,
            events=events,
            connect_s=connect_s,
        )

    def _make_script(self) -> Script:
        """An empty script."""
        return Script(max_clause_chars=self._opts.limits.clause_chars)

    def _on_resume(self, error: APIError) -> None:
        """A reply goes on over another socket: one recoverable error event."""
        self.emit(
            "error",
            tts.TTSError(timestamp=time.time(), label=self._label, error=error, recoverable=True),
        )

    async def _connect(self, timeout_s: float) -> Socket:
        opts = self._opts
        try:
            socket = await Socket.connect(
                self._ensure_session(),
                opts.stream_url(),
                headers=opts.headers,
                timeout_s=timeout_s,
                options=opts.socket_options(),
            )
        except APIError as exc:
            self.faults.note_error(exc)
            raise
        self.stats.connections += 1
        return socket

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session


class ChunkedStream(tts.ChunkedStream):
    """Made by :meth:`TTS.synthesize`."""

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(
            tts=tts,
            input_text=input_text,
            conn_options=JitteredConnectOptions.of(conn_options),
        )
        self._aigateway = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._aigateway, stream=False)
        script = self._aigateway._make_script()
        for clause in self._aigateway._tokenizer.tokenize(self._input_text):
            script.add(clause)
        script.end()
        events = ReplyEvents(
            on_start=self._on_start,
            on_audio=output_emitter.push,
            on_resume=self._aigateway._on_resume,
        )
        reply = self._aigateway._make_reply(
            script, events=events, connect_s=self._conn_options.timeout
        )
        await reply.run()
        if self._input_text.strip() and not reply.started:
            output_emitter.push(_silence(self._aigateway.sample_rate))

    def _on_start(self, lease: Lease) -> None:
        self._acquire_time = lease.acquire_s
        self._connection_reused = lease.reused


class SynthesizeStream(tts.SynthesizeStream):
    """Made by :meth:`TTS.stream`."""

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=JitteredConnectOptions.of(conn_options))
        self._aigateway = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._aigateway, stream=True)
        self._aigateway.prewarm()  # while the first sentence is still being written
        script = self._aigateway._make_script()
        events = ReplyEvents(
            on_start=lambda lease: self._on_start(lease, output_emitter),
            on_audio=output_emitter.push,
            on_resume=self._aigateway._on_resume,
        )
        reply = self._aigateway._make_reply(
            script, events=events, connect_s=self._conn_options.timeout
        )
        try:
            await run_beside(reply.run(), self._write(script))
        except asyncio.CancelledError:
            self._report_cancelled(reply)
            raise
        if self._pushed_text.strip() and not reply.started:
            self._mark_started()
            output_emitter.start_segment(segment_id=utils.shortuuid("seg_"))
            output_emitter.push(_silence(self._aigateway.sample_rate))
        output_emitter.end_segment()

    def _on_start(self, lease: Lease, output_emitter: tts.AudioEmitter) -> None:
        self._acquire_time = lease.acquire_s
        self._connection_reused = lease.reused
        output_emitter.start_segment(segment_id=utils.shortuuid("seg_"))
        self._mark_started()

    def _report_cancelled(self, reply: Reply) -> None:
        """Report the use of a reply that was cut off, which is billed too.

        The base class reports only replies that were synthesised to their end.
        """
        if not reply.characters_sent:
            return
        owner = self._aigateway
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
        clauses = self._aigateway._tokenizer.stream()
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
