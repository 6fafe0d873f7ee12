"""A transcription stream that survives its connections.

Who retries what: LiveKit's ``RecognizeStream`` calls ``_run`` again when it fails, up to
``conn_options.max_retry`` times, with one error event each. Frames that a failed ``_run`` has
read are gone by then, and its waits are fixed. So the framework's loop is left the one case in
which nothing can be lost, a stream that has never been connected. Once it has been, this class
reconnects by itself, inside ``_run``: at most ``max_retry`` times without a final in between,
within ``reconnect_s``, with full jitter, one recoverable error event a loss. When that is used up
the error is final, so that the framework does not multiply the attempts and a FallbackAdapter
moves on at once.

What survives a connection: the audio that no final covers (``AudioFeed``), which is sent again
faster than real time, and what was heard so far (``Transcriber``), so that an utterance goes on
where it was.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils, vad
from livekit.plugins.gatewaykit.errors import exhausted
from livekit.plugins.gatewaykit.faults import FaultKind
from livekit.plugins.gatewaykit.feed import AudioFeed
from livekit.plugins.gatewaykit.retry import (
    Backoff,
    JitteredConnectOptions,
    is_retryable,
    retry_until,
)
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.websocket import Socket

from ._options import STTOptions
from ._stt_link import Ended, Link, Watchdog
from ._transcriber import Transcriber

if TYPE_CHECKING:
    from .stt import STT

_LONGEST_RECONNECT_WAIT_S = 1.0
"""Somebody is speaking meanwhile, and the ring fills."""


class SpeechStream(stt.RecognizeStream):
    """Made by :meth:`STT.stream`; see the module for how it retries."""

    def __init__(
        self,
        *,
        stt: STT,
        opts: STTOptions,
        conn_options: APIConnectOptions,
        detector: vad.VAD | None,
    ) -> None:
        super().__init__(
            stt=stt,
            conn_options=JitteredConnectOptions.of(conn_options),
            sample_rate=opts.sample_rate,
        )
        self._aigateway = stt
        self._opts = opts
        self._next_opts: STTOptions | None = None
        self._backoff = Backoff(maximum_s=_LONGEST_RECONNECT_WAIT_S)
        self._feed = AudioFeed(
            sample_rate=opts.sample_rate, ring_s=opts.replay.ring_s, detector=detector
        )
        self._transcriber = Transcriber(
            options=opts, feed=self._feed, stats=stt.stats, faults=stt.faults
        )
        patience_s = opts.timeouts.silence_watchdog_s
        self._watchdog = Watchdog(initial_s=patience_s, patience_s=patience_s)
        self._link: Link | None = None
        self._losses = 0
        self._failed_attempts = 0

    @property
    def start_time_offset(self) -> float:
        """Seconds that lie before this stream's first sample, as set by a FallbackAdapter.

        What the framework adds on a retry is wall-clock time and is left out: this stream's own
        clock does not stop between connections.
        """
        return self._transcriber.origin_s

    @start_time_offset.setter
    def start_time_offset(self, value: float) -> None:
        if value < 0:
            raise ValueError("start_time_offset must be non-negative")
        self._transcriber.origin_s = value

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Push audio to be recognised; any sample rate, mono."""
        if frame.num_channels != 1:
            raise ValueError(f"mono audio is required, got {frame.num_channels} channels")
        super().push_frame(frame)

    def update_options(self, changes: dict[str, object]) -> None:
        """Use other options from the next pause in speech on."""
        base = self._next_opts or self._opts
        self._next_opts = dataclasses.replace(base, **changes)  # type: ignore[arg-type]  # fields

    async def aclose(self) -> None:
        """Close this stream immediately."""
        await super().aclose()
        await self._feed.aclose()

    async def _run(self) -> None:
        await run_beside(self._transcribe(), self._take_input())
        self._send_events(self._transcriber.on_input_exhausted())

    async def _take_input(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                await self._feed.add(item, self._tick)
            else:
                # the gateway finds the end of an utterance itself, so a flush only means: send all
                await self._feed.flush(self._tick)
        await self._feed.end(self._tick)

    async def _transcribe(self) -> None:
        socket = await self._open_first()
        while True:
            opened_at = time.monotonic()
            try:
                ended = await self._serve(socket)
            except APIError as exc:
                self._aigateway.faults.note_error(exc)
                self._opts.keys.judge(socket.key, exc)
                self._feed.begin_outage()
                if time.monotonic() - opened_at > self._conn_options.timeout:
                    self._losses = 0  # it had worked for a while, as the framework counts it
                socket = await self._reconnect(exc)
                continue
            if ended is Ended.INPUT:
                return
            socket = await self._open(self._conn_options.timeout)

    async def _open_first(self) -> Socket:
        """Connect for the first time; a failure goes to the framework's loop.

        That loop takes an attempt which outlived ``timeout`` for one that had connected, and starts
        its count over. A handshake that times out has just outlived it, so the framework alone
        would try a black hole for ever, and the count is kept here.
        """
        try:
            socket = await self._open(self._conn_options.timeout)
        except APIError as exc:
            self._failed_attempts += 1
            budget = self._conn_options.max_retry
            if not is_retryable(exc) or budget == 0 or self._failed_attempts <= budget:
                raise
            raise exhausted(exc, f"gave up after {self._failed_attempts} attempts") from None
        self._failed_attempts = 0
        return socket

    async def _serve(self, socket: Socket) -> Ended:
        self._link = Link(
            socket,
            options=self._opts,
            feed=self._feed,
            transcriber=self._transcriber,
            watchdog=self._watchdog,
            stats=self._aigateway.stats,
            faults=self._aigateway.faults,
            emit=self._send_events,
            wants_rotation=lambda: self._next_opts is not None,
        )
        try:
            return await self._link.run()
        finally:
            self._link = None
            self._aigateway._discard(socket)

    async def _open(self, timeout_s: float) -> Socket:
        """Connect, and make the feed ready to be sent from its oldest uncovered sample."""
        if self._next_opts is not None:
            self._opts, self._next_opts = self._next_opts, None
        lease = await self._aigateway._acquire(self._opts, timeout_s=timeout_s)
        self._report_connection_acquired(lease.acquire_s, lease.reused)
        self._transcriber.request_id = lease.socket.request_id or utils.shortuuid("stt_")
        self._rewind()
        return lease.socket

    def _rewind(self) -> None:
        ring = self._feed.ring
        sent_before = ring.cursor - ring.start
        lost_from, lost_to = ring.rewind()
        self._feed.end_outage()
        rate = self._opts.sample_rate
        stats = self._aigateway.stats
        stats.replayed_s += sent_before / rate
        lost_s = self._feed.runs.voiced_between(lost_from, lost_to) / rate
        if lost_s > 0:
            stats.dropped_s += lost_s
            self._aigateway.faults.note(FaultKind.SPEECH_LOST)
            self._aigateway.emit("speech_lost", lost_s)

    async def _reconnect(self, error: APIError) -> Socket:
        """Replace a lost connection, or raise the reason why not."""
        budget = self._conn_options.max_retry
        if not is_retryable(error) or budget == 0:
            raise error
        if self._losses >= budget:
            raise exhausted(error, f"lost {self._losses + 1} times without a final") from None
        self._emit_error(error, recoverable=True)
        if self._losses > 0:  # the first time, the caller is waiting and nothing suggests trouble
            await asyncio.sleep(self._backoff.delay_s(self._losses))
        self._losses += 1
        self._aigateway.stats.reconnects += 1
        deadline_s = self._opts.timeouts.reconnect_s
        attempt_s = min(self._conn_options.timeout, deadline_s)
        return await retry_until(
            lambda: self._open(attempt_s), deadline_s=deadline_s, backoff=self._backoff
        )

    def _tick(self) -> None:
        """Audio has come in, which is as good a clock as any and finer than a timer."""
        link = self._link
        if link is not None:
            self._send_events(self._transcriber.on_tick(link.sent, live=link.live))

    def _send_events(self, events: list[stt.SpeechEvent]) -> None:
        for event in events:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._losses = 0
            self._event_ch.send_nowait(event)
