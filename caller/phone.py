"""A caller on the telephone: dials a number over SIP, then speaks and listens like any other."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from caller.activity import Samples
from caller.audio import resample
from caller.clock import ClockHealth
from caller.errors import AgentMissing, CallEnded, CallerError
from caller.listening import Listening
from caller.mouth import Spoken
from caller.party import REPLY_TIMEOUT_S, Party
from caller.recording import RATE as RECORDING_RATE
from caller.recording import Recording
from caller.sip.call import Call
from caller.sip.digest import Credentials
from caller.sip.g711 import RATE
from caller.sip.media import Media
from caller.sip.network import PERFECT, Line
from caller.sip.phone import RING_S, Phone
from caller.sip.sdp import Codec
from caller.voice import RATE as VOICE_RATE
from caller.voice import Line as Words
from caller.voice import Voice

STILL = ClockHealth(drift_ms=0.0, late_ms=0.0, holes=0, lost_ms=0.0)
"""What is sent is timed by this machine's own clock."""


class Mouthpiece:
    """Speaks into a telephone call.

    Args:
        media: The call's sound.
        recording: Where the caller's side is written, if anywhere.
    """

    def __init__(self, *, media: Media, recording: Recording | None) -> None:
        self._media = media
        self._recording = recording
        self._talking: asyncio.Task[tuple[float, float, float]] | None = None
        media.on_sent = self._sent

    @property
    def health(self) -> ClockHealth:
        """Steady by construction."""
        return STILL

    async def speak(self, line: Words, *, not_before: float = 0.0) -> Spoken:
        """Say a line in real time and return when all of it has left.

        Raises:
            CallEnded: The call ended meanwhile.
        """
        samples = resample(line.samples, rate=VOICE_RATE, to=RATE)
        await asyncio.sleep(max(0.0, not_before - line.start / VOICE_RATE - time.monotonic()))
        self._talking = asyncio.ensure_future(self._media.play(samples))
        try:
            begun, end, stutter = await self._talking
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current and current.cancelling():
                raise
            raise CallEnded("The call ended while the caller spoke.") from None
        finally:
            self._talking.cancel()
        padding = (len(samples) * VOICE_RATE // RATE - line.end) / VOICE_RATE
        return Spoken(
            said=line.said,
            onset_s=begun + line.start / VOICE_RATE,
            end_s=end - max(0.0, padding),
            stutter_ms=round(stutter * 1000, 1),
        )

    def hush(self) -> None:
        """Stop in the middle of a word."""
        if self._talking:
            self._talking.cancel()

    def _sent(self, samples: Samples, at: float) -> None:
        if self._recording:
            self._recording.write("caller", at, np.repeat(samples, RECORDING_RATE // RATE))


@dataclass
class LineQuality:
    """What came through the telephone line.

    Attributes:
        media: The call's sound; None before the call.
    """

    media: Media | None = None

    def to_json(self) -> dict[str, float]:
        """Packets that came and packets that did not."""
        if self.media is None:
            return {}
        return {"packets": self.media.received, "packets_lost": self.media.lost}


class PhoneCaller(Party):
    """Someone who dials: `async with PhoneCaller(...) as c` is in the call until the block is left.

    Args:
        uri: Whom to call, as in `sip:100@127.0.0.1:5060`.
        voice: What it speaks with.
        number: Its own number, or what it says is its number.
        credentials: With which it answers a request for a password.
        codecs: What it offers, preferred first.
        line: What the line does to the packets.
        ring_s: How long it lets the other side ring.
        record: Where to write both sides as a stereo WAV; None for nowhere.

    Raises:
        CallRefused: On entering: the call was not answered.
        CallerError: On entering: the recording cannot be written.
    """

    mouth: Mouthpiece
    quality: LineQuality

    def __init__(
        self,
        uri: str,
        *,
        voice: Voice,
        number: str = "caller",
        credentials: Credentials | None = None,
        codecs: tuple[Codec, ...] = ("PCMU",),
        line: Line = PERFECT,
        ring_s: float = RING_S,
        record: Path | None = None,
    ) -> None:
        super().__init__(voice=voice)
        self.phone = Phone(user=number, credentials=credentials, codecs=codecs, line=line)
        self.quality = LineQuality()
        self._uri, self._ring_s, self._record = uri, ring_s, record
        self._recording: Recording | None = None

    async def __aenter__(self) -> Self:
        try:
            self._recording = Recording(self._record) if self._record else None
        except OSError as e:
            raise CallerError(f"The recording cannot be written: {e}.") from None
        await self.phone.__aenter__()
        try:
            self.take_over(await self.phone.dial(self._uri, ring_s=self._ring_s))
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end("the caller hung up")
        await self._close()

    @property
    def call(self) -> Call:
        """The call that it is in."""
        return self._call

    def take_over(self, call: Call) -> None:
        """Speak and listen on this call from now on: an answered one, or one it was referred to."""
        self._call = call
        self.ear = Listening(recording=self._recording, rate=RATE)
        self.mouth = Mouthpiece(media=call.media, recording=self._recording)
        self.quality.media = call.media
        call.media.on_heard = self.ear.take
        call.on_end = self._call_ended
        if call.ended.is_set():
            self._call_ended(call)

    async def wait_for_agent(self, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Wait until the agent says something.

        Raises:
            AgentMissing: There was only silence.
            CallEnded: The call ended first.
        """
        heard = await self.ear.until(
            lambda: self.ear.activity.spans or self.ended.is_set() or None, timeout_s=timeout_s
        )
        if heard is None:
            raise AgentMissing(
                f"The call was answered, but nobody spoke for {timeout_s:g} s. Is the worker "
                "running, and does the dispatch rule name its agent?"
            )
        if heard is True:
            raise CallEnded(f"The call ended before the agent spoke: {self.ended_reason}.")

    async def _sample_quality(self) -> None:
        """Nothing to do: packets are counted as they come."""

    def _call_ended(self, call: Call) -> None:
        if call is self._call:
            self.mouth.hush()
            self._end(
                "the agent hung up" if call.ended_reason == "the other side hung up"
                else call.ended_reason
            )  # fmt: skip

    async def _close(self) -> None:
        await self.phone.__aexit__(None, None, None)
        if self._recording:
            self._recording.close()
