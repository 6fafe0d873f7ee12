"""RTP packets (RFC 3550) and key presses in them (RFC 2833), with no I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

FRAME_S = 0.02
"""Audio in a packet, seconds."""
FRAME_SAMPLES = 160
"""The same in samples and, in G.711, in bytes."""
KEYS = "0123456789*#ABCD"
"""Keys in the order of their event numbers."""
KEY_PACKETS = 8
"""Packets that a held key lasts: 160 ms, well above the 40 ms that receivers want."""
KEY_END_PACKETS = 3
"""The end of a key press is sent three times, because one may be lost."""
KEY_GAP_PACKETS = 5
"""Packets of ordinary audio between two keys: 100 ms."""

_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")


class RtpError(ValueError):
    """The bytes are not the packet they should be."""


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One RTP packet."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = field(repr=False)
    marker: bool = False

    def encode(self) -> bytes:
        """The bytes of the datagram."""
        second = self.payload_type | (0x80 if self.marker else 0)
        header = _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc)
        return header + self.payload


@dataclass(frozen=True, kw_only=True)
class KeyEvent:
    """A key press so far.

    Attributes:
        key: One of `KEYS`.
        ended: Whether the key was let go.
        duration: How long it has been held, samples.
    """

    key: str
    ended: bool
    duration: int

    def encode(self) -> bytes:
        """The payload of the packet; the volume is -10 dBm0, as usual."""
        return _EVENT.pack(KEYS.index(self.key), (0x80 if self.ended else 0) | 10, self.duration)


def parse(data: bytes) -> Packet:
    """Read a datagram.

    Raises:
        RtpError: It is not an RTP packet (RTCP on the same port included).
    """
    if len(data) < _HEADER.size:
        raise RtpError("shorter than a header")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2 or 192 <= second <= 223:
        raise RtpError("not RTP version 2")
    start = _HEADER.size + 4 * (first & 15)
    if first & 0x10:
        if len(data) < start + 4:
            raise RtpError("cut off in the extension")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if end < start:
        raise RtpError("cut off")
    return Packet(
        payload_type=second & 0x7F, sequence=sequence, timestamp=timestamp, ssrc=ssrc,
        payload=data[start:end], marker=bool(second & 0x80),
    )  # fmt: skip


def parse_key(payload: bytes) -> KeyEvent:
    """Read the payload of a key press.

    Raises:
        RtpError: It is none, or not of a telephone's key.
    """
    if len(payload) < _EVENT.size:
        raise RtpError("shorter than an event")
    event, flags, duration = _EVENT.unpack_from(payload)
    if event >= len(KEYS):
        raise RtpError("not a key")
    return KeyEvent(key=KEYS[event], ended=bool(flags & 0x80), duration=duration)


def press(key: str) -> list[KeyEvent]:
    """The packets of one key press, 20 ms apart.

    Raises:
        RtpError: No telephone has that key.
    """
    if key not in KEYS or len(key) != 1:
        raise RtpError(f"there is no key {key!r}")
    held = [
        KeyEvent(key=key, ended=False, duration=FRAME_SAMPLES * n) for n in range(1, KEY_PACKETS)
    ]
    end = KeyEvent(key=key, ended=True, duration=FRAME_SAMPLES * KEY_PACKETS)
    return [*held, *[end] * KEY_END_PACKETS]


class Keypad:
    """Collects the keys that the other side presses: each counts once, however often it is sent."""

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None

    def take(self, packet: Packet) -> str:
        """The key if this packet is the first of its press that came through; else empty.

        Raises:
            RtpError: It is not a key press.
        """
        event = parse_key(packet.payload)
        press_id = (packet.timestamp, event.key)
        if press_id == self._last:
            return ""
        self._last = press_id
        return event.key


class JitterBuffer:
    """Puts packets back into order and fills holes: a packet comes out `depth` packets later.

    Args:
        depth: Packets held back; each is 20 ms that a listener waits.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._held: dict[int, bytes] = {}
        self._next: int | None = None
        self.lost = 0
        """Packets that never came, or too late."""

    def push(self, packet: Packet) -> list[bytes | None]:
        """Take a packet in; what is due comes out in order, None for each one that is missing."""
        if self._next is None:
            self._next = packet.sequence
        ahead = (packet.sequence - self._next) & 0xFFFF
        if ahead >= 0x8000:
            return []  # too late: its place has been played
        if ahead > self._depth + 500:  # the other side has begun to count anew
            self._held.clear()
            self._next = packet.sequence
        self._held[packet.sequence] = packet.payload
        due: list[bytes | None] = []
        newest = max((sequence - self._next) & 0xFFFF for sequence in self._held)
        for _ in range(newest - self._depth + 1 if newest >= self._depth else 0):
            payload = self._held.pop(self._next, None)
            self.lost += payload is None
            due.append(payload)
            self._next = (self._next + 1) & 0xFFFF
        return due
