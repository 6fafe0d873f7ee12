"""One connection of a transcription stream: what goes out, what comes in, and when it is dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from livekit.agents import stt
from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.errors import ProtocolError, StalledError
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.feed import AudioFeed
from livekit.plugins.gatewaykit.replay import SentMap
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.websocket import Closed, Socket

from ._codec.opus import OpusEncoder
from ._codec.stt import CLOSE_STREAM, KEEP_ALIVE, decode
from ._options import STTOptions
from ._stats import STTStats
from ._transcriber import Transcriber

_TICK_S = 0.1
_USAGE_INTERVAL_S = 5.0
"""Audio is reported to the framework's metrics this often, as its own plugins do."""
_PACKET_MS = 50
_REPLAY_PACKET_MS = 100
_BEHIND_S = 0.25
"""More unsent audio than this is paced, or it would arrive as one flood."""
_REPLAY_S = 1.0
"""More unsent audio than this is a replay or a burst: what comes back is about the past."""
_LIVE_AFTER_S = 1.0
"""Results of a replay may lag this long behind its last packet."""
_WATCHDOG_VOICE_SHARE = 0.3
"""Share of the watchdog's time that must be voiced before silence from the server is suspicious."""
_ASK_AFTER_VOICE_S = 1.0
"""Speech that the server says nothing about before it is asked whether it is there."""
_ASK_AFTER_SILENCE_MS = 300.0
"""The same, when the caller has stopped: half of it are stops inside words."""
_LEAST_VOICE_S = 0.1
"""Less sound than this is a click, and nothing is owed for it."""
_TRAILING_SILENCE_S = 1.0
"""Sent at the end in the ``minimal`` dialect, so that the server notices the end of the
utterance."""
_NOTHING_OWED_DRAIN_S = 0.5
"""Wait for the server's close at the end when no final is expected any more."""


class Ended(Enum):
    """Why a connection ended without an error."""

    INPUT = auto()
    """All audio was sent and everything owed has come."""
    OPTIONS = auto()
    """The options changed, and nobody is speaking."""


@dataclass(slots=True)
class Watchdog:
    """Patience with a silent server. It outlives connections, so that noise is no endless loop."""

    initial_s: float
    patience_s: float

    def fired(self) -> None:
        """The server said nothing; the next one gets twice the time."""
        self.patience_s *= 2

    def heard(self) -> None:
        """The server transcribed something."""
        self.patience_s = self.initial_s

    @property
    def factor(self) -> float:
        """By how much every wait for the server is longer now."""
        return self.patience_s / self.initial_s


class Link:
    """Sends a feed over a socket and passes on what comes back, until either ends.

    Args:
        socket: A connected socket; the caller closes it.
        options: The stream's options.
        feed: The stream's audio, rewound for this connection.
        transcriber: The stream's memory of what was heard.
        watchdog: The stream's patience.
        stats: Counters of the ``STT``.
        faults: Notes the faults that it survives; what ends it is raised.
        emit: Takes the speech events.
        wants_rotation: Whether the connection should end at the next pause.
    """

    def __init__(
        self,
        socket: Socket,
        *,
        options: STTOptions,
        feed: AudioFeed,
        transcriber: Transcriber,
        watchdog: Watchdog,
        stats: STTStats,
        faults: FaultLog,
        emit: Callable[[list[stt.SpeechEvent]], None],
        wants_rotation: Callable[[], bool],
    ) -> None:
        self.sent = SentMap()
        self._socket = socket
        self._options = options
        self._feed = feed
        self._transcriber = transcriber
        self._watchdog = watchdog
        self._stats = stats
        self._faults = faults
        self._emit = emit
        self._wants_rotation = wants_rotation
        self._encoder = (
            OpusEncoder(sample_rate=feed.sample_rate) if options.encoding == "opus" else None
        )
        now = time.monotonic()
        self._heard_at = now
        self._heard_cursor = feed.ring.cursor
        self._asked_at: float | None = None
        self._asked_cursor = feed.ring.cursor
        self._sent_at = now
        replays = feed.ring.unsent > _REPLAY_S * feed.sample_rate
        self._behind_at = now if replays else now - _LIVE_AFTER_S
        self._bad_frames = 0
        self._drain_since: float | None = None
        self._usage_at = now
        self._usage_samples = 0
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    @property
    def live(self) -> bool:
        """Whether what comes back is about what the caller says now."""
        return time.monotonic() - self._behind_at >= _LIVE_AFTER_S

    async def run(self) -> Ended:
        """Serve the connection.

        Raises:
            APIError: It was lost, fell silent or broke the protocol.
        """
        try:
            return await run_beside(
                self._wait_ended(), self._send_loop(), self._receive_loop(), self._tick_loop()
            )
        finally:
            self._report_usage()

    async def _wait_ended(self) -> Ended:
        return await self._ended

    def _end(self, why: Ended) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    # -- out ---------------------------------------------------------------------------------

    async def _send_loop(self) -> None:
        while not self._feed.finished:
            await self._send_some()
        await self._finish_input()
        self._drain_since = time.monotonic()

    async def _send_some(self) -> None:
        """Send the next packet, or wait for audio."""
        rate = self._feed.sample_rate
        unsent = self._feed.ring.unsent
        behind = unsent > _BEHIND_S * rate
        if unsent > _REPLAY_S * rate:
            self._behind_at = time.monotonic()
        packet_ms = _REPLAY_PACKET_MS if behind else _PACKET_MS
        position, pcm = self._feed.take(packet_ms * rate // 1000, owed=self._transcriber.owed)
        if not pcm:
            await self._feed.wait_for_audio()
            return
        count = len(pcm) // 2
        self.sent.note(position, count)
        await self._send_pcm(pcm)
        if behind:
            await asyncio.sleep(count / rate / self._options.replay.speed)

    async def _send_pcm(self, pcm: bytes) -> None:
        self._sent_at = time.monotonic()
        self._usage_samples += len(pcm) // 2
        await self._send_audio(self._encoder.push(pcm) if self._encoder else [pcm])

    async def _send_audio(self, messages: list[bytes]) -> None:
        for message in messages:
            self._stats.sent_bytes += len(message)
            await self._socket.send(message)

    async def _send_silence(self, milliseconds: int) -> None:
        count = self._feed.sample_rate * milliseconds // 1000
        self.sent.note_padding(self._feed.ring.cursor, count)
        await self._send_pcm(b"\0\0" * count)

    async def _finish_input(self) -> None:
        if self._encoder:
            await self._send_audio(self._encoder.flush())
        if self._options.dialect == "deepgram":
            await self._socket.send(CLOSE_STREAM)
            return
        if self._transcriber.unheard:
            for _ in range(int(_TRAILING_SILENCE_S * 1000 / _PACKET_MS)):
                await self._send_silence(_PACKET_MS)

    async def _keep_alive(self) -> None:
        """No audio flows; say something, so that nobody closes the socket for idleness."""
        self._stats.keepalives += 1
        if self._options.dialect == "deepgram":
            self._sent_at = time.monotonic()
            await self._socket.send(KEEP_ALIVE)
        else:
            await self._send_silence(_PACKET_MS)

    # -- in ----------------------------------------------------------------------------------

    async def _receive_loop(self) -> None:
        while True:
            message = await self._socket.receive()
            if isinstance(message, Closed):
                if self._drain_since is None or self._transcriber.owed:
                    raise message.to_error()
                self._end(Ended.INPUT)
                return
            self._receive(message)

    def _receive(self, message: str | bytes) -> None:
        self._heard_at = time.monotonic()
        self._heard_cursor = self._feed.ring.cursor
        try:
            if isinstance(message, bytes):
                raise ProtocolError("a binary message where text is expected")
            decoded = decode(message, self._options.limits)
        except ProtocolError:
            self._stats.bad_frames += 1
            self._faults.note(FaultKind.BAD_FRAME)
            self._bad_frames += 1
            if self._bad_frames >= self._options.limits.bad_frames_in_a_row:
                raise
            return
        self._bad_frames = 0
        if isinstance(decoded, ErrorMessage):
            raise decoded.to_error(self._transcriber.request_id)
        events = self._transcriber.on_message(decoded, self.sent, live=self.live)
        if events:
            self._watchdog.heard()
            self._emit(events)

    # -- time --------------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            self._feed.look_again()
            self._emit(self._transcriber.on_tick(self.sent, live=self.live))
            if now - self._usage_at >= _USAGE_INTERVAL_S:
                self._report_usage()
            if self._drain_since is not None:
                if self._drained(now - self._drain_since):
                    self._end(Ended.INPUT)
                continue
            if self._wants_rotation() and not self._transcriber.unheard:
                self._end(Ended.OPTIONS)
                continue
            if now - self._sent_at >= self._options.timeouts.keepalive_s:
                await self._keep_alive()
            self._check_watchdog(now)
            await self._check_pulse(now)

    def _drained(self, waited_s: float) -> bool:
        if waited_s >= self._options.timeouts.drain_s:
            return True
        return waited_s >= _NOTHING_OWED_DRAIN_S and not self._transcriber.unheard

    def _check_watchdog(self, now: float) -> None:
        """A server that owes an answer and is silent is a half-open connection."""
        quiet_s = now - self._heard_at
        if self._final_overdue(quiet_s):
            self._watchdog.fired()
            raise StalledError("no final although the caller has stopped")
        if quiet_s < self._watchdog.patience_s:
            return
        ring = self._feed.ring
        voiced = self._feed.runs.voiced_between(self._heard_cursor, ring.cursor)
        needed = _WATCHDOG_VOICE_SHARE * self._watchdog.initial_s * self._feed.sample_rate
        if self._transcriber.owed or voiced >= needed:
            self._watchdog.fired()
            raise StalledError("no transcript while speech flows")

    async def _check_pulse(self, now: float) -> None:
        """Whoever does not even answer a ping hears nothing: no need to wait for words."""
        if self._asked_at is not None and self._socket.heard_at < self._asked_at:
            if now - self._asked_at >= self._options.timeouts.pong_s * self._watchdog.factor:
                self._watchdog.fired()
                raise StalledError("no pong after speech")
        elif self._unanswered():
            self._asked_at, self._asked_cursor = now, self._feed.ring.cursor
            await self._socket.ping()

    def _unanswered(self) -> bool:
        """Whether the caller spoke and the server, not asked since, has said nothing of it."""
        rate = self._feed.sample_rate
        since = max(self._heard_cursor, self._asked_cursor)
        voiced_s = self._feed.runs.voiced_between(since, self._feed.ring.cursor) / rate
        stopped = self._feed.runs.silent_ms >= _ASK_AFTER_SILENCE_MS
        return self.live and voiced_s >= (_LEAST_VOICE_S if stopped else _ASK_AFTER_VOICE_S)

    def _final_overdue(self, quiet_s: float) -> bool:
        final_s = self._options.timeouts.final_s * self._watchdog.factor
        silent_s = self._feed.runs.silent_ms / 1000
        return self._transcriber.owed and min(quiet_s, silent_s) >= final_s

    def _report_usage(self) -> None:
        """Tell the framework's metrics how much audio was sent since the last report."""
        self._usage_at = time.monotonic()
        if self._usage_samples == 0:
            return
        seconds, self._usage_samples = self._usage_samples / self._feed.sample_rate, 0
        self._emit(
            [
                stt.SpeechEvent(
                    type=stt.SpeechEventType.RECOGNITION_USAGE,
                    request_id=self._transcriber.request_id,
                    recognition_usage=stt.RecognitionUsage(audio_duration=seconds),
                )
            ]
        )
