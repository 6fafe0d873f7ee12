"""One request a turn: the caller's audio in, words and speech out."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import aiohttp
from livekit import rtc
from livekit.agents import APIError, APIStatusError, llm, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.errors import ProtocolError, exhausted
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.retry import Backoff, is_retryable, retry_until
from livekit.plugins.gatewaykit.url import http_url

from ._account import PIPELINES_PATH
from ._codec.audio import BYTES_PER_SAMPLE
from ._codec.realtime import (
    Audio,
    Done,
    Heard,
    RealtimeMessage,
    Text,
    TextDone,
    decode,
    pipeline_request,
)
from ._generation import Generation
from ._http import Answer, Patience, Post
from ._session import RealtimeOptions, RealtimeSession

_PRE_ROLL_S = 1.5
"""Audio kept from before the framework notices speech, which it does after at most half a second
of it."""
_MAX_ANSWER_S = 120.0
"""Longest reply."""


class PipelineSession(RealtimeSession):
    """A session whose turns are requests."""

    def __init__(
        self,
        model: llm.RealtimeModel,
        opts: RealtimeOptions,
        *,
        faults: FaultLog,
        http: aiohttp.ClientSession,
    ) -> None:
        super().__init__(model, opts, faults=faults)
        self._http = http
        self._pcm = bytearray()
        self._committed = b""
        self._active = False
        self._turn: asyncio.Task[None] | None = None

    def _take_audio(self, frame: rtc.AudioFrame) -> None:
        self._pcm += frame.data
        longest = self._opts.bytes_of(self._opts.max_audio_s if self._active else _PRE_ROLL_S)
        if len(self._pcm) > longest:
            del self._pcm[: len(self._pcm) - longest]

    def start_user_activity(self) -> None:
        """The caller speaks: from now on everything is kept."""
        self._active = True

    def commit_audio(self) -> None:
        """The caller's turn is over."""
        self._committed = bytes(self._pcm)
        self.clear_audio()

    def clear_audio(self) -> None:
        """Forget what was heard and not committed."""
        self._pcm.clear()
        self._active = False

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Answer the turn that was committed; fails when there is none."""
        recording, self._committed = self._committed, b""
        if not recording:
            return self._no_reply("a GateFlow pipeline answers audio only, and there is none")
        created: asyncio.Future[llm.GenerationCreatedEvent] = (
            asyncio.get_running_loop().create_future()
        )
        self.interrupt()
        self._turn = asyncio.create_task(
            self._answer(recording, created), name="gateflow.pipeline.turn"
        )
        created.add_done_callback(lambda f: self.interrupt() if f.cancelled() else None)
        return created

    def interrupt(self) -> None:
        """Stop the reply: its request is closed, which is the only cancel there is."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._end_generation()

    async def aclose(self) -> None:
        """Stop everything."""
        turn, self._turn = self._turn, None
        if turn is not None:
            await utils.aio.cancel_and_wait(turn)
        self._end_generation()

    async def _answer(
        self, recording: bytes, created: asyncio.Future[llm.GenerationCreatedEvent]
    ) -> None:
        """One turn, with as many requests as it takes before the first word or sound."""
        turn = _Turn(self, created)
        try:
            await retry_until(
                lambda: turn.ask(recording),
                deadline_s=self._opts.timeouts.turn_s,
                backoff=Backoff(),
            )
            if not created.done():
                created.set_exception(llm.RealtimeError("the pipeline found nothing to answer"))
        except APIError as error:
            # a turn that is lost is not the call: the next one may do well
            self._report(error, recoverable=not turn.refused)
            if not created.done():
                created.set_exception(llm.RealtimeError(str(error)))
        finally:
            turn.end()

    def _begin(self, created: asyncio.Future[llm.GenerationCreatedEvent]) -> Generation:
        generation = Generation(sample_rate=self._opts.sample_rate, user_initiated=True)
        self._generation = generation
        if not created.done():
            created.set_result(generation.event())
        return generation

    def _tell_heard(self, heard: Heard, item_id: str) -> None:
        self.emit(
            "input_audio_transcription_completed",
            llm.InputTranscriptionCompleted(
                item_id=item_id, transcript=heard.text, is_final=heard.is_final
            ),
        )


class _Turn:
    """The answer to one recording."""

    def __init__(
        self, session: PipelineSession, created: asyncio.Future[llm.GenerationCreatedEvent]
    ) -> None:
        self._session = session
        self._opts = session._opts
        self._created = created
        self._item_id = utils.shortuuid("item_")
        self._generation: Generation | None = None
        self._heard_final = False
        self._bad = 0
        self.refused = False
        """Whether another turn would fail for the same reason."""

    async def ask(self, recording: bytes) -> None:
        """One request.

        Raises:
            APIError: It failed; not retryable once the reply has begun.
        """
        done = False
        try:
            async with self._post(recording) as answer:
                objects = answer.objects(self._opts.limits, self._session._faults)
                async with aclosing(objects):
                    async for obj in objects:
                        message = self._decoded(obj)
                        done = done or isinstance(message, Done)
                        if message is not None:
                            self._take(message, answer)
            if not done:
                raise ProtocolError("the pipeline ended in the middle")
        except APIError as error:
            self._session._faults.note_error(error)
            self.refused = isinstance(error, APIStatusError) and not is_retryable(error)
            if self._generation is None:
                raise
            raise exhausted(error, "the reply was cut short") from None

    def end(self) -> None:
        """Nothing more will come."""
        if self._generation is not None:
            self._generation.end()

    def _decoded(self, obj: dict[str, object]) -> RealtimeMessage | None:
        try:
            message = decode(obj)
        except ProtocolError:
            self._session._faults.note(FaultKind.BAD_FRAME)
            self._bad += 1
            if self._bad >= self._opts.limits.bad_frames_in_a_row:
                raise
            return None
        self._bad = 0
        return message

    def _take(self, message: RealtimeMessage, answer: Answer) -> None:
        match message:
            case ErrorMessage():
                raise message.to_error()
            case Heard():
                answer.patience.on_piece()
                # asked again, the gateway tells the same words again: once is enough
                if not self._heard_final:
                    self._heard_final = message.is_final
                    if message.text.strip():
                        self._session._tell_heard(message, self._item_id)
            case Text():
                answer.patience.on_piece()
                self._reply().add_text(message)
            case Audio(data):
                answer.patience.on_audio(self._reply().add_audio(data))
            case TextDone():
                answer.patience.on_piece()
                self._reply().end_text()

    def _reply(self) -> Generation:
        if self._generation is None:
            self._generation = self._session._begin(self._created)
        return self._generation

    def _post(self, recording: bytes) -> Post:
        opts = self._opts
        members = dict(opts.members)
        if opts.send_context and self._session._context:
            members["context"] = self._session._context
        samples = len(recording) // BYTES_PER_SAMPLE
        frame = rtc.AudioFrame(recording, opts.sample_rate, 1, samples)
        return Post(
            self._session._http,
            http_url(opts.base_url, PIPELINES_PATH),
            what="pipeline",
            keys=opts.keys,
            faults=self._session._faults,
            connect_s=DEFAULT_API_CONNECT_OPTIONS.timeout,
            patience=Patience(
                first_s=opts.timeouts.first_event_s, between_s=opts.timeouts.between_events_s
            ),
            total_s=_MAX_ANSWER_S,
            body=lambda: {
                "json": pipeline_request(
                    template=opts.template, recording=frame.to_wav_bytes(), options=members
                )
            },
        )
