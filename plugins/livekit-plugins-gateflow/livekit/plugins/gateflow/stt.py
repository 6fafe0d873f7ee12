"""Speech to text through GateFlow: one request for each stretch of speech, its answer streamed."""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Never

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, APITimeoutError, stt, utils, vad
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.retry import Backoff, JitteredConnectOptions, retry_until
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.url import http_url, resolve_base_url, resolve_keys

from ._account import ACCOUNT, TRANSCRIPTIONS_PATH
from ._codec.stt import Transcript, decode
from ._http import Patience, Post
from ._limits import STTTimeouts
from .models import STTModels

_SLOW = 2.0
"""A gateway that is only slow is made slower by asking it anew: after a silence it gets so many
times as long, until it has answered."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    model: str
    language: LanguageCode
    base_url: str
    keys: KeyRing
    timeouts: STTTimeouts
    limits: Limits


class STT(stt.STT[Never]):
    """GateFlow speech to text.

    The wire form takes whole recordings only. So without ``vad`` this is a recogniser that does not
    stream, which LiveKit wraps with the session's detector. With ``vad`` it streams by itself, and
    the partials of each stretch come out as interim transcripts while the final is on its way.
    """

    def __init__(
        self,
        *,
        model: STTModels | str = "whisper-1",
        language: str = "en",
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        vad: vad.VAD | None = None,
        timeouts: STTTimeouts = STTTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of GateFlow STT.

        Args:
            model: Model name.
            language: BCP-47 code set on every transcript; the wire form has no place for it.
            base_url: Defaults to ``GATEFLOW_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``GATEFLOW_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            vad: Finds the stretches of speech; needed for ``stream()``.
            timeouts: Every wait.
            limits: Every size.
            http_session: Defaults to the job's session.

        Raises:
            ValueError: There is no key.
        """
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=vad is not None, interim_results=vad is not None
            )
        )
        self._opts = _Options(
            model=model,
            language=LanguageCode(language),
            base_url=resolve_base_url(base_url, ACCOUNT),
            keys=resolve_keys(api_key, ACCOUNT),
            timeouts=timeouts,
            limits=limits,
        )
        self.faults = FaultLog(stage="stt", provider=self.provider)
        """The faults that requests have met, healed ones included."""
        self._vad = vad
        self._session = http_session
        self._slowness = 1.0
        self._streams = weakref.WeakSet[SpeechStream]()

    @property
    def model(self) -> str:
        """The model name."""
        return self._opts.model

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return ACCOUNT.name

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        """Open a stream; frames pushed to it come back as speech events.

        Raises:
            ValueError: There is no ``vad``.
        """
        if self._vad is None:
            raise ValueError("STT needs vad= to stream: the gateway takes whole recordings only")
        stream = SpeechStream(
            stt=self,
            detector=self._vad,
            language=LanguageCode(language) if language else self._opts.language,
            conn_options=conn_options,
        )
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """Close every stream."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()

    async def transcripts(
        self, buffer: AudioBuffer, *, conn_options: APIConnectOptions
    ) -> AsyncGenerator[Transcript]:
        """One request: all partials and the final.

        Raises:
            APIError: It failed, or ended without a final.
        """
        answered = False
        try:
            async with aclosing(self._answer(buffer, conn_options)) as messages:
                async for message in messages:
                    answered, self._slowness = True, 1.0
                    yield message
                    if message.is_final:
                        return
        except APITimeoutError:
            if not answered:
                self._slowness = _SLOW
            raise
        raise ProtocolError("the transcription ended without a final")

    async def _answer(
        self, buffer: AudioBuffer, conn_options: APIConnectOptions
    ) -> AsyncGenerator[Transcript]:
        """What comes back for one request."""
        opts = self._opts
        patience = Patience(
            first_s=opts.timeouts.first_line_s * self._slowness,
            between_s=opts.timeouts.between_lines_s,
        )
        request = Post(
            self._ensure_session(),
            http_url(opts.base_url, TRANSCRIPTIONS_PATH),
            what="transcription",
            keys=opts.keys,
            faults=self.faults,
            connect_s=conn_options.timeout,
            patience=patience,
            total_s=opts.timeouts.total_s,
            body=lambda: {"data": _form(opts, buffer)},
        )
        async with (
            request as answer,
            aclosing(answer.objects(opts.limits, self.faults)) as objects,
        ):
            async for obj in objects:
                message = decode(obj)
                if isinstance(message, ErrorMessage):
                    raise message.to_error()
                if isinstance(message, Transcript):
                    answer.patience.on_piece()
                    yield message

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        text = ""
        try:
            async with aclosing(self.transcripts(buffer, conn_options=conn_options)) as said:
                async for transcript in said:
                    text = transcript.text
        except APIError as error:
            self.faults.note_error(error)
            raise error from None
        spoken = LanguageCode(language) if language else self._opts.language
        return _event(stt.SpeechEventType.FINAL_TRANSCRIPT, text, spoken)

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session


class SpeechStream(stt.SpeechStream):
    """Made by :meth:`STT.stream`."""

    def __init__(
        self,
        *,
        stt: STT,
        detector: vad.VAD,
        language: LanguageCode,
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(stt=stt, conn_options=JitteredConnectOptions.of(conn_options))
        self._gateflow = stt
        self._detector = detector
        self._language = language

    async def _run(self) -> None:
        # a failed segment must not cost the frames that follow: it is retried here, where its
        # audio is, and what is raised from here is final
        segments = self._detector.stream()
        try:
            await run_beside(self._recognize(segments), self._forward(segments))
        finally:
            await segments.aclose()

    async def _forward(self, segments: vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                segments.push_frame(item)
            else:
                segments.flush()
        segments.end_input()

    async def _recognize(self, segments: vad.VADStream) -> None:
        async for event in segments:
            if event.type is vad.VADEventType.START_OF_SPEECH:
                self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
            elif event.type is vad.VADEventType.END_OF_SPEECH:
                ended_at = time.time() - event.silence_duration - event.inference_duration
                await retry_until(
                    lambda frames=event.frames: self._transcribe(frames),  # type: ignore[misc]
                    deadline_s=self._gateflow._opts.timeouts.segment_s,
                    backoff=Backoff(),
                )
                self._event_ch.send_nowait(
                    stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH, speech_end_time=ended_at)
                )
                self._report_usage(event.frames)

    async def _transcribe(self, frames: list[rtc.AudioFrame]) -> None:
        said = self._gateflow.transcripts(frames, conn_options=self._conn_options)
        try:
            async with aclosing(said):
                async for transcript in said:
                    self._tell(transcript)
        except APIError as error:
            self._gateflow.faults.note_error(error)
            raise

    def _tell(self, transcript: Transcript) -> None:
        if transcript.text.strip():
            kind = (
                stt.SpeechEventType.FINAL_TRANSCRIPT
                if transcript.is_final
                else stt.SpeechEventType.INTERIM_TRANSCRIPT
            )
            self._event_ch.send_nowait(_event(kind, transcript.text, self._language))

    def _report_usage(self, frames: list[rtc.AudioFrame]) -> None:
        seconds = sum(frame.duration for frame in frames)
        self._event_ch.send_nowait(
            stt.SpeechEvent(
                type=stt.SpeechEventType.RECOGNITION_USAGE,
                recognition_usage=stt.RecognitionUsage(audio_duration=seconds),
            )
        )


def _event(kind: stt.SpeechEventType, text: str, language: LanguageCode) -> stt.SpeechEvent:
    data = stt.SpeechData(language=language, text=text.strip())
    return stt.SpeechEvent(type=kind, request_id=utils.shortuuid("stt_"), alternatives=[data])


def _form(opts: _Options, buffer: AudioBuffer) -> aiohttp.FormData:
    form = aiohttp.FormData()
    wav = rtc.combine_audio_frames(buffer).to_wav_bytes()
    form.add_field("file", wav, filename="audio.wav", content_type="audio/wav")
    form.add_field("model", opts.model)
    form.add_field("stream", "true")
    return form
