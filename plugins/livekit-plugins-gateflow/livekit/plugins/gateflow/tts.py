"""Text to speech through GateFlow: a request for every clause, the next one always under way."""

from __future__ import annotations

import time
import weakref
from dataclasses import replace
from typing import Never

import aiohttp
from livekit.agents import APIConnectOptions, APIError, tokenize, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.gatewaykit.clauses import ClauseTokenizer
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.retry import JitteredConnectOptions
from livekit.plugins.gatewaykit.script import Script, SpeakingPace
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.url import resolve_api_key, resolve_base_url

from ._account import ACCOUNT
from ._clause import SpeechOptions
from ._limits import TTSTimeouts
from ._reply import Reply, ReplyEvents
from .log import logger
from .models import AudioFormats, TTSModels, TTSVoices

_NUM_CHANNELS = 1
_FRAME_MS = 200
_NOTHING_TO_SAY_MS = 20
"""Silence that stands for text without a letter or digit, for which no server sends audio."""


class TTS(tts.TTS[Never]):
    """GateFlow text to speech."""

    def __init__(
        self,
        *,
        model: TTSModels | str = "eleven_turbo_v2_5",
        voice: TTSVoices | str = "friendly",
        response_format: AudioFormats = "pcm",
        sample_rate: int = 24000,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str] = NOT_GIVEN,
        tokenizer: NotGivenOr[tokenize.SentenceTokenizer] = NOT_GIVEN,
        timeouts: TTSTimeouts = TTSTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of GateFlow TTS.

        Args:
            model: Model name.
            voice: Name of one of the vendor's voices.
            response_format: ``pcm``, or ``mp3`` at a fraction of the size.
            sample_rate: Hz of PCM that the gateway sends: 24000 as documented. MP3 tells its own
                rate and is brought to this one.
            base_url: Defaults to ``GATEFLOW_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``GATEFLOW_API_KEY``.
            tokenizer: Cuts text into what is asked for in one request. The default releases a
                sentence at its end, without waiting for the next.
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
        self._opts = SpeechOptions(
            model=model,
            voice=voice,
            response_format=response_format,
            sample_rate=sample_rate,
            base_url=resolve_base_url(base_url, ACCOUNT),
            api_key=resolve_api_key(api_key, ACCOUNT),
            timeouts=timeouts,
            limits=limits,
        )
        self.faults = FaultLog(stage="tts", provider=self.provider)
        """The faults that replies have met, healed ones included."""
        self._tokenizer = tokenizer if is_given(tokenizer) else ClauseTokenizer()
        self._pace = SpeakingPace()
        self._session = http_session
        self._streams = weakref.WeakSet[SynthesizeStream | ChunkedStream]()

    @property
    def model(self) -> str:
        """The model name."""
        return self._opts.model

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return ACCOUNT.name

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

    async def aclose(self) -> None:
        """Close every stream."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()

    def _make_reply(self, script: Script, *, events: ReplyEvents, connect_s: float) -> Reply:
        """A reply that speaks ``script`` with the present options."""
        return Reply(
            script,
            options=self._opts,
            session=self._ensure_session(),
            pace=self._pace,
            faults=self.faults,
            events=events,
            connect_s=connect_s,
        )

    def _make_script(self) -> Script:
        """An empty script."""
        return Script(max_clause_chars=self._opts.limits.clause_chars)

    def _on_resume(self, error: APIError) -> None:
        """A reply goes on with another request: one recoverable error event, one log line."""
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

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(
            tts=tts, input_text=input_text, conn_options=JitteredConnectOptions.of(conn_options)
        )
        self._gateflow = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._gateflow, stream=False)
        script = self._gateflow._make_script()
        for clause in self._gateflow._tokenizer.tokenize(self._input_text):
            script.add(clause)
        script.end()
        events = ReplyEvents(
            on_start=lambda: None,
            on_audio=output_emitter.push,
            on_resume=self._gateflow._on_resume,
        )
        reply = self._gateflow._make_reply(
            script, events=events, connect_s=self._conn_options.timeout
        )
        await reply.run()
        if self._input_text.strip() and not reply.started:
            output_emitter.push(_silence(self._gateflow.sample_rate))


class SynthesizeStream(tts.SynthesizeStream):
    """Made by :meth:`TTS.stream`."""

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=JitteredConnectOptions.of(conn_options))
        self._gateflow = tts

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, self._gateflow, stream=True)
        script = self._gateflow._make_script()
        events = ReplyEvents(
            on_start=lambda: self._start(output_emitter),
            on_audio=output_emitter.push,
            on_resume=self._gateflow._on_resume,
        )
        reply = self._gateflow._make_reply(
            script, events=events, connect_s=self._conn_options.timeout
        )
        await run_beside(reply.run(), self._write(script))
        if self._pushed_text.strip() and not reply.started:
            self._start(output_emitter)
            output_emitter.push(_silence(self._gateflow.sample_rate))
        output_emitter.end_segment()

    def _start(self, output_emitter: tts.AudioEmitter) -> None:
        self._mark_started()
        output_emitter.start_segment(segment_id=utils.shortuuid("seg_"))

    async def _write(self, script: Script) -> None:
        """Cut the text that comes in into the clauses of ``script``."""
        clauses = self._gateflow._tokenizer.stream()
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
