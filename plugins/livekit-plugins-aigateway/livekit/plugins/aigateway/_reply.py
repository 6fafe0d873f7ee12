"""Speaks one script over as many connections as it takes, saying nothing twice.

LiveKit's base class tries a reply again only while no audio has come out. So a failure before the
first audio is raised, and the framework's loop counts it; a failure after it is healed here:
another socket is taken, and the script goes on with the first word that was not heard. A lost or
cancelled connection is closed and never reused, so that audio of one reply cannot leak into
another.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass

from livekit.agents import APIError
from livekit.plugins.gatewaykit.envelope import ErrorMessage
from livekit.plugins.gatewaykit.errors import NoAudioError, ProtocolError, StalledError, exhausted
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.pool import Lease, SparePool
from livekit.plugins.gatewaykit.retry import Backoff, is_retryable
from livekit.plugins.gatewaykit.script import Script, SpeakingPace, spoken_letters
from livekit.plugins.gatewaykit.tasks import run_beside
from livekit.plugins.gatewaykit.tts import ReplyEvents, Start
from livekit.plugins.gatewaykit.websocket import Closed, Message, Socket

from ._codec.tts import (
    BYTES_PER_SAMPLE,
    END_OF_INPUT,
    StreamDone,
    TextDone,
    decode,
    encode_text,
)
from ._ending import Progress, Verdict
from ._options import TTSOptions
from ._stats import TTSStats

_POLL_S = 0.02
"""How often a silent connection is judged; the end of a reply is late by at most this."""
_NORMAL_CLOSES = (1000, 1001)
_SLOW_VOICE = 2.0


@dataclass(slots=True)
class Patience:
    """How long a voice is waited for.

    One that is only slow is made slower by asking it anew: after a silence it gets twice the time,
    until it has spoken.
    """

    factor: float = 1.0

    def note_silence(self) -> None:
        """Nothing came in time."""
        self.factor = _SLOW_VOICE

    def note_sound(self) -> None:
        """It speaks."""
        self.factor = 1.0


class Reply:
    """One reply.

    Args:
        script: What to say.
        options: How to say it.
        pool: Where sockets come from.
        pace: The voice's pace; learns from this reply.
        patience: How long the voice is waited for; learns from this reply.
        stats: Counters of the ``TTS``.
        faults: Notes the faults that it meets.
        events: Callbacks.
        connect_s: Longest wait for a socket, in seconds.
    """

    def __init__(
        self,
        script: Script,
        *,
        options: TTSOptions,
        pool: SparePool,
        pace: SpeakingPace,
        patience: Patience,
        stats: TTSStats,
        faults: FaultLog,
        events: ReplyEvents,
        connect_s: float,
    ) -> None:
        self._script = script
        self._options = options
        self._pool = pool
        self._pace = pace
        self._patience = patience
        self._stats = stats
        self._faults = faults
        self._events = events
        self._connect_s = connect_s
        self._backoff = Backoff()
        self._started = False
        self._spoken = False
        self._resumes = 0
        self._next = 0  # the clause that the present connection sends next
        self.characters_sent = 0
        """Characters of text that the gateway was given, those said anew included."""

    @property
    def started(self) -> bool:
        """Whether there was anything to say."""
        return self._started

    async def run(self) -> None:
        """Speak the script to its end.

        Raises:
            APIError: It cannot be finished; never retryable once audio has come out.
        """
        start = 0
        # no socket is taken before there is something to say
        while await self._script.get(start) is not None:
            progress = self._new_progress()
            try:
                await self._speak(start, progress)
                return
            except APIError as exc:
                start = await self._resume(exc, start, progress)

    def _new_progress(self) -> Progress:
        timeouts = self._options.timeouts
        first_audio_s = timeouts.first_audio_s * self._patience.factor
        return Progress(
            timeouts=dataclasses.replace(timeouts, first_audio_s=first_audio_s),
            ms_per_letter=self._pace.ms_per_letter,
            pace_known=self._pace.known,
            bytes_per_s=float(self._options.sample_rate * BYTES_PER_SAMPLE),
        )

    async def _resume(self, error: APIError, start: int, progress: Progress) -> int:
        """Decide where the next connection goes on, or raise."""
        if not self._spoken:
            raise error
        start = self._script.resume(start, self._next, self._pace.letters_in(progress.audio_s))
        if self._script.ended and await self._script.get(start) is None:
            return start  # what was lost was the end, and everything had been heard
        if not is_retryable(error) or self._resumes >= self._options.limits.resumes:
            raise exhausted(error, "the reply was cut short") from None
        self._resumes += 1
        self._stats.resumes += 1
        self._events.on_resume(error)
        if self._resumes > 1:  # a spare is waiting, and so is the caller
            await asyncio.sleep(self._backoff.delay_s(self._resumes))
        return start

    async def _speak(self, start: int, progress: Progress) -> None:
        """Speak from clause ``start`` on over one connection."""
        self._next = start
        lease = await self._pool.acquire(timeout_s=self._connect_s)
        if not self._started:
            self._started = True
            self._count(lease)
            self._events.on_start(Start(acquire_s=lease.acquire_s, reused=lease.reused))
        try:
            await run_beside(
                self._listen(lease.socket, progress), self._send(lease.socket, progress)
            )
            if progress.audio_s == 0.0 and progress.letters:
                raise NoAudioError()
        except APIError as exc:
            self._faults.note_error(exc)
            self._options.keys.judge(lease.socket.key, exc)
            if isinstance(exc, StalledError) and progress.audio_s == 0.0:
                self._patience.note_silence()
            raise
        finally:
            # whether it was cut short, cancelled or complete: nothing that may still arrive on this
            # socket can be told from the next reply
            self._pool.discard(lease.socket)
        self._pace.observe(letters=progress.letters, audio_s=progress.audio_s)

    def _count(self, lease: Lease) -> None:
        if lease.reused:
            self._stats.spares_taken += 1
        else:
            self._stats.cold_starts += 1

    async def _send(self, socket: Socket, progress: Progress) -> None:
        while (clause := await self._script.get(self._next)) is not None:
            self._next += 1
            progress.on_text(spoken_letters(clause), time.monotonic())
            await socket.send(encode_text(clause))
            self.characters_sent += len(clause)
        if self._options.end_of_input == "empty":
            await socket.send(END_OF_INPUT)
        progress.on_input_ended()

    async def _listen(self, socket: Socket, progress: Progress) -> None:
        """Receive until the audio is complete.

        Raises:
            APIError: The connection ended, fell silent or broke the protocol before that.
        """
        odd = b""
        bad_frames = 0
        while True:
            match progress.verdict(time.monotonic()):
                case Verdict.DONE:
                    self._stats.quiet_ends += not progress.marked
                    return
                case Verdict.STALLED:
                    raise StalledError(f"{progress.audio_s:.1f} s of audio received")
            message = await _receive_within(socket, _POLL_S)
            if isinstance(message, bytes):
                odd = self._take_audio(odd + message, progress)
            elif isinstance(message, str):
                try:
                    self._take_text(message, progress)
                    bad_frames = 0
                except ProtocolError:
                    self._stats.bad_frames += 1
                    self._faults.note(FaultKind.BAD_FRAME)
                    bad_frames += 1
                    if bad_frames >= self._options.limits.bad_frames_in_a_row:
                        raise
            elif isinstance(message, Closed):
                if progress.ends_with_close(normal=message.code in _NORMAL_CLOSES):
                    return
                raise message.to_error()

    def _take_audio(self, data: bytes, progress: Progress) -> bytes:
        """Pass on whole samples; return the odd byte, which belongs to the next message."""
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
        if whole:
            progress.on_audio(whole, time.monotonic())
            self._patience.note_sound()
            self._spoken = True
            self._events.on_audio(data[:whole])
        return data[whole:]

    def _take_text(self, message: str, progress: Progress) -> None:
        decoded = decode(message, self._options.limits)
        if isinstance(decoded, ErrorMessage):
            raise decoded.to_error()
        if isinstance(decoded, TextDone):
            progress.on_text_done()
        elif isinstance(decoded, StreamDone):
            progress.on_stream_done(end_was_sent=self._options.end_of_input == "empty")


async def _receive_within(socket: Socket, seconds: float) -> Message | None:
    try:
        async with asyncio.timeout(seconds):
            return await socket.receive()
    except TimeoutError:
        return None
