"""The realtime socket: the caller's audio goes out as it comes, replies come in by themselves."""

from __future__ import annotations

import asyncio
from collections import deque

import aiohttp
from livekit import rtc
from livekit.agents import APIError, llm, utils, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.handshake import connect
from livekit.plugins.gatewaykit.json import loads_object
from livekit.plugins.gatewaykit.retry import Backoff, is_retryable, retry_until
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.url import ws_url
from livekit.plugins.gatewaykit.websocket import Closed, Socket, SocketOptions

from ._account import REALTIME_PATH
from ._codec.realtime import (
    Audio,
    Done,
    Heard,
    RealtimeMessage,
    Text,
    TextDone,
    decode,
    encode_config,
    encode_input,
)
from ._generation import Generation
from ._session import RealtimeOptions, RealtimeSession

_SEND_S = 0.1
"""Audio in one message: the gateway's own examples send 100 ms."""
_POLL_S = 0.05
"""How often a silent socket is looked at; the end of a reply is late by at most this."""
_HEALTHY_AFTER_S = 5.0
"""A socket that lived so long had been accepted: losing it is not a failed attempt."""
_MAX_LOSSES = 5
"""Sockets lost in a row before they were healthy, after which the session gives up."""


class SocketSession(RealtimeSession):
    """A session on a socket; a lost one is replaced, and the gateway then starts from nothing."""

    def __init__(
        self,
        model: llm.RealtimeModel,
        opts: RealtimeOptions,
        *,
        faults: FaultLog,
        http: aiohttp.ClientSession,
        detector: vad.VAD,
    ) -> None:
        super().__init__(model, opts, faults=faults)
        self._http = http
        self._detector = detector.stream()
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._partial = bytearray()
        self._wake = asyncio.Event()
        self._deaf = False
        """Whether what comes belongs to a reply that was interrupted."""
        self._last_message_s = 0.0
        self._bad = 0
        self._task: asyncio.Task[None] | None = None
        self._watch = asyncio.create_task(self._notice_speech(), name="gateflow.realtime.vad")

    # -- what the framework asks ------------------------------------------------------------------

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Take some of the caller's audio; the first of it opens the socket."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="gateflow.realtime")
        self._detector.push_frame(frame)
        super().push_audio(frame)

    def _take_audio(self, frame: rtc.AudioFrame) -> None:
        self._partial += frame.data
        size = self._opts.bytes_of(_SEND_S)
        while len(self._partial) >= size:
            self._outgoing.append(bytes(self._partial[:size]))
            self._outgoing_bytes += size
            del self._partial[:size]
            self._wake.set()
        dropped = False
        while self._outgoing_bytes > self._opts.bytes_of(self._opts.max_audio_s):
            self._outgoing_bytes -= len(self._outgoing.popleft())
            dropped = True
        if dropped:
            self._faults.note(FaultKind.SPEECH_LOST)

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Fail: nothing on this wire asks for a reply; they come when the caller has spoken."""
        return self._no_reply("the GateFlow socket cannot be asked for a reply: it answers speech")

    def commit_audio(self) -> None:
        """The gateway finds the end of a turn itself."""

    def clear_audio(self) -> None:
        """Forget what was not sent yet."""
        self._outgoing.clear()
        self._outgoing_bytes = 0
        self._partial.clear()

    def interrupt(self) -> None:
        """Leave the reply that is under way; what still comes of it is not heard."""
        if self._generation is not None:
            self._end_generation()
            self._deaf = True

    async def aclose(self) -> None:
        """Close the socket."""
        tasks = [task for task in (self._task, self._watch) if task is not None]
        await utils.aio.cancel_and_wait(*tasks)
        self._end_generation()  # now that nothing can begin another
        await self._detector.aclose()

    # -- the socket -------------------------------------------------------------------------------

    async def _run(self) -> None:
        losses = 0
        while True:
            try:
                socket = await retry_until(
                    self._connect, deadline_s=self._opts.timeouts.reconnect_s, backoff=Backoff()
                )
            except APIError as error:
                self._give_up(error)
                return
            if losses:
                self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
            lost = await self._serve(socket)
            self._end_generation()
            self._deaf = False
            now = asyncio.get_running_loop().time()
            healthy = now - socket.opened_at >= _HEALTHY_AFTER_S
            losses = 1 if healthy else losses + 1
            if not is_retryable(lost) or losses > _MAX_LOSSES:
                self._give_up(lost)
                return
            self._report(lost, recoverable=True)

    def _give_up(self, error: APIError) -> None:
        self._end_generation()
        self._report(error, recoverable=False)

    async def _connect(self) -> Socket:
        opts = self._opts
        socket = await connect(
            self._http,
            ws_url(opts.base_url, REALTIME_PATH, []),
            keys=opts.keys,
            headers={},
            timeout_s=DEFAULT_API_CONNECT_OPTIONS.timeout,
            options=SocketOptions(
                max_message_bytes=opts.limits.json_bytes,
                queue_messages=opts.limits.receive_queue_messages,
                heartbeat_s=opts.timeouts.heartbeat_s,
                send_s=opts.timeouts.send_s,
                close_s=opts.timeouts.close_s,
            ),
            faults=self._faults,
        )
        try:
            await socket.send(
                encode_config(template=opts.template, context=self._context, options=opts.members)
            )
        except APIError as error:
            self._faults.note_error(error)
            raise
        return socket

    async def _serve(self, socket: Socket) -> APIError:
        """Use a socket until it fails; return why."""
        self._bad = 0
        try:
            await run_beside(self._receive(socket), self._send(socket))
        except APIError as error:
            self._faults.note_error(error)
            return self._opts.keys.judge(socket.key, error)
        finally:
            await socket.aclose()
        raise AssertionError("receiving ends with an error only")

    async def _send(self, socket: Socket) -> None:
        while True:
            while self._outgoing:
                pcm = self._outgoing.popleft()
                self._outgoing_bytes -= len(pcm)
                await socket.send(encode_input(pcm))
            self._wake.clear()
            await self._wake.wait()

    async def _receive(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_POLL_S):
                    message = await socket.receive()
            except TimeoutError:
                self._judge_silence(loop.time())
                continue
            if isinstance(message, Closed):
                raise message.to_error()
            self._judge_silence(loop.time())
            self._last_message_s = loop.time()
            self._take(message)

    def _judge_silence(self, now: float) -> None:
        """Silence ends a reply, and the deafness after an interruption."""
        timeouts = self._opts.timeouts
        silent_s = now - self._last_message_s
        if self._deaf and silent_s >= timeouts.interrupt_gap_s:
            self._deaf = False
        generation = self._generation
        if generation is None:
            return
        heard_out = now - max(generation.playing_until, self._last_message_s)
        # a reply that has not begun to sound is waited for longer than one that falls silent
        patience = timeouts.quiet_s if generation.playing_until else timeouts.first_event_s
        if heard_out >= patience:
            self._end_generation()

    def _take(self, data: str | bytes) -> None:
        try:
            if isinstance(data, bytes):
                raise ProtocolError("a binary message")
            message = decode(loads_object(data, self._opts.limits))
        except ProtocolError:
            self._faults.note(FaultKind.BAD_FRAME)
            self._bad += 1
            if self._bad >= self._opts.limits.bad_frames_in_a_row:
                raise
            return
        self._bad = 0
        self._take_message(message)

    def _take_message(self, message: RealtimeMessage) -> None:
        match message:
            case ErrorMessage():
                self._take_error(message.to_error())
            case Done():
                self._end_generation()
                self._deaf = False
            case Heard():
                self._tell_heard(message)
            case Text() if not self._deaf:
                self._reply().add_text(message)
            case Audio(audio) if not self._deaf:
                self._reply().add_audio(audio)
            case TextDone() if self._generation is not None:
                self._generation.end_text()

    def _take_error(self, error: APIError) -> None:
        """A recoverable error costs the reply; another one ends the session."""
        if not is_retryable(error):
            raise error
        self._end_generation()
        self._faults.note_error(error)
        self._report(error, recoverable=True)

    def _reply(self) -> Generation:
        if self._generation is None:
            self._generation = Generation(sample_rate=self._opts.sample_rate, user_initiated=False)
            self.emit("generation_created", self._generation.event())
        return self._generation

    def _tell_heard(self, heard: Heard) -> None:
        """Not documented for the socket, and welcome."""
        if heard.is_final and heard.text.strip():
            self.emit(
                "input_audio_transcription_completed",
                llm.InputTranscriptionCompleted(
                    item_id=utils.shortuuid("item_"), transcript=heard.text, is_final=True
                ),
            )

    async def _notice_speech(self) -> None:
        async for event in self._detector:
            if event.type is vad.VADEventType.START_OF_SPEECH:
                self.emit("input_speech_started", llm.InputSpeechStartedEvent())
            elif event.type is vad.VADEventType.END_OF_SPEECH:
                self.emit(
                    "input_speech_stopped",
                    llm.InputSpeechStoppedEvent(user_transcription_enabled=False),
                )
