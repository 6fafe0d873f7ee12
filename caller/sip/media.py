"""The sound of one call: G.711 in RTP, a packet every 20 ms, and the keys of the telephone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import randbits
from typing import Self, cast

import numpy as np

from caller.activity import Samples
from caller.sip import g711
from caller.sip.network import PERFECT, Fate, Line
from caller.sip.rtp import (
    FRAME_S,
    FRAME_SAMPLES,
    KEY_GAP_PACKETS,
    JitterBuffer,
    KeyEvent,
    Keypad,
    Packet,
    RtpError,
    parse,
    press,
)
from caller.sip.sdp import DTMF_TYPE, PAYLOAD_TYPES, Codec, Description

PLAYOUT_PACKETS = 3
"""Depth of the jitter buffer: 60 ms, what telephones commonly hold. It is part of every time that
is measured at this ear."""
SILENCE = np.zeros(FRAME_SAMPLES, dtype=np.int16)

Listener = Callable[[Samples, float], None]
"""Gets 20 ms of sound (8 kHz) and the time, seconds of `time.monotonic`, that it belongs to."""


def _nobody(_: Samples, __: float) -> None:
    """Nobody listens."""


@dataclass
class _Said:
    """Sound on its way out."""

    frames: deque[Samples]
    done: asyncio.Future[float]
    sent_at: list[float] = field(default_factory=list)


@dataclass
class _Press:
    """A key on its way out; `None` is a packet of silence."""

    events: deque[KeyEvent | None]
    done: asyncio.Future[float]


class Media(asyncio.DatagramProtocol):
    """One RTP stream in each direction; `await Media.open(...)`.

    Args:
        codecs: What it offers, preferred first.
        line: What the line does to the packets of both directions.
        on_sent: Told what left.
        on_heard: Told what came, after the jitter buffer; lost packets are silence.
    """

    def __init__(
        self,
        *,
        codecs: tuple[Codec, ...] = ("PCMU",),
        line: Line = PERFECT,
        on_sent: Listener = _nobody,
        on_heard: Listener = _nobody,
    ) -> None:
        self.codecs = codecs
        self.codec = codecs[0]
        self.on_sent, self.on_heard = on_sent, on_heard
        self.keys = ""
        """Keys that the other side pressed so far."""
        self.received = 0
        """Packets of sound that came."""
        self._heard_key = asyncio.Event()
        self._remote: tuple[str, int] | None = None
        self._dtmf_type: int | None = DTMF_TYPE
        self._keypad = Keypad()
        self._buffer = JitterBuffer(depth=PLAYOUT_PACKETS)
        self._out, self._in = Fate(line), Fate(line)
        self._transport: asyncio.DatagramTransport | None = None
        self._queue: deque[_Said | _Press] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._ssrc, self._sequence = randbits(32), randbits(15)
        self._timestamp = randbits(31)
        self._key_timestamp = 0

    @classmethod
    async def open(cls, host: str, **options: object) -> Self:
        """Bind a free port; options as for the class."""
        loop = asyncio.get_running_loop()
        _, media = await loop.create_datagram_endpoint(
            lambda: cls(**options),  # type: ignore[arg-type]  # passed on as they are
            local_addr=(host, 0),
        )
        return media

    @property
    def lost(self) -> int:
        """Packets that never came, or too late."""
        return self._buffer.lost

    def description(self) -> Description:
        """What to offer."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return Description(host=host, port=port, codecs=self.codecs)

    def start(self, theirs: Description) -> None:
        """Begin to send to the other side, or send to where it has moved."""
        self._remote = (theirs.host, theirs.port)
        self._dtmf_type = theirs.dtmf_type
        self.codec = next((c for c in theirs.codecs if c in self.codecs), self.codecs[0])
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="phone rtp")

    async def play(self, samples: Samples) -> tuple[float, float, float]:
        """Say something (8 kHz) and return when its last packet has left.

        Returns:
            When its first sample was spoken and when its last, seconds of `time.monotonic`, and
            how many seconds longer it took than it is.
        """
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        frames = deque(padded.reshape(-1, FRAME_SAMPLES))
        said = _Said(frames, asyncio.get_running_loop().create_future())
        self._queue.append(said)
        try:
            end = await said.done
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._queue.remove(said)
            raise
        # A microphone hands a frame over when its last sample has been spoken.
        begun = said.sent_at[0] - FRAME_S
        return begun, end, max(0.0, end - begun - len(padded) / g711.RATE)

    async def press(self, keys: str) -> None:
        """Press keys, one after the other.

        Raises:
            RtpError: No telephone has such a key.
        """
        for key in keys:
            events = deque[KeyEvent | None]([*press(key), *[None] * KEY_GAP_PACKETS])
            pressed = _Press(events, asyncio.get_running_loop().create_future())
            self._queue.append(pressed)
            await pressed.done

    async def wait_for_keys(self, count: int, *, timeout_s: float) -> str:
        """What the other side has pressed, once it is `count` keys; less when time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self.keys) < count:
                    self._heard_key.clear()
                    await self._heard_key.wait()
        return self.keys

    async def aclose(self) -> None:
        """Stop sending and close the port."""
        if self._sending:
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending
        for waiting in self._queue:
            waiting.done.cancel()
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a packet, when and if the line lets it through."""
        now = time.monotonic()
        due = self._in.of(now)
        if due is None:
            return
        if due <= now:
            self._take(data)
        else:
            asyncio.get_running_loop().call_later(due - now, self._take, data)

    def _take(self, data: bytes) -> None:
        with contextlib.suppress(RtpError):
            packet = parse(data)
            if packet.payload_type == self._dtmf_type:
                if key := self._keypad.take(packet):
                    self.keys += key
                    self._heard_key.set()
                packet = self._instead_of(packet)
            elif packet.payload_type != PAYLOAD_TYPES[self.codec]:
                return
            else:
                self.received += 1
            now = time.monotonic()
            for payload in self._buffer.push(packet):
                missing = payload is None or len(payload) == 0
                self.on_heard(SILENCE if missing else g711.decode(self.codec, payload or b""), now)

    @staticmethod
    def _instead_of(key: Packet) -> Packet:
        """A key press takes the place of a packet of sound in the sequence."""
        return Packet(
            payload_type=key.payload_type, sequence=key.sequence, timestamp=key.timestamp,
            ssrc=key.ssrc, payload=b"",
        )  # fmt: skip

    async def _send_all(self) -> None:
        started, count = time.monotonic(), 0
        while True:
            self._send_next()
            count += 1
            await asyncio.sleep(max(0.0, started + count * FRAME_S - time.monotonic()))

    def _send_next(self) -> None:
        now, frame = time.monotonic(), SILENCE
        doing = self._queue[0] if self._queue else None
        if isinstance(doing, _Press):
            event = doing.events.popleft()
            if not doing.events:
                self._finish(now)
            if event is not None:
                self._send_key(event, now)
                return
        elif isinstance(doing, _Said):
            frame = doing.frames.popleft()
            doing.sent_at.append(now)
            if not doing.frames:
                self._finish(now)
        self._send(PAYLOAD_TYPES[self.codec], g711.encode(self.codec, frame), now)
        self.on_sent(frame, now - FRAME_S)

    def _finish(self, now: float) -> None:
        done = self._queue.popleft().done
        if not done.done():
            done.set_result(now)

    def _send_key(self, event: KeyEvent, now: float) -> None:
        assert self._dtmf_type is not None
        first = not event.ended and event.duration == FRAME_SAMPLES
        if first:
            self._key_timestamp = self._timestamp
        self._send(self._dtmf_type, event.encode(), now, stamp=self._key_timestamp, marker=first)
        self.on_sent(SILENCE, now - FRAME_S)

    def _send(
        self, kind: int, payload: bytes, now: float, stamp: int | None = None, marker: bool = False
    ) -> None:
        packet = Packet(
            payload_type=kind,
            sequence=self._sequence,
            timestamp=self._timestamp if stamp is None else stamp,
            ssrc=self._ssrc,
            payload=payload,
            marker=marker,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME_SAMPLES) & 0xFFFFFFFF
        due = self._out.of(now)
        if due is None:
            return
        if due <= now:
            self._transmit(packet.encode())
        else:
            asyncio.get_running_loop().call_later(due - now, self._transmit, packet.encode())

    def _transmit(self, data: bytes) -> None:
        if self._transport and self._remote and not self._transport.is_closing():
            self._transport.sendto(data, self._remote)
