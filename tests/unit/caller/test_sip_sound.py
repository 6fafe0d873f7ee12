"""G.711, RTP, key presses, the jitter buffer and a bad line."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caller.sip import g711, rtp
from caller.sip.network import Fate, Line
from caller.sip.rtp import JitterBuffer, Keypad, Packet, RtpError
from caller.sip.sdp import CODECS, Codec

# Pairs of code and sample from the tables of ITU-T G.711, scaled to 16 bits.
KNOWN: list[tuple[Codec, int, int]] = [
    ("PCMU", 0xFF, 0), ("PCMU", 0x80, 32124), ("PCMU", 0x00, -32124), ("PCMU", 0xF0, 120),
    ("PCMU", 0x8F, 16764), ("PCMA", 0xD5, 8), ("PCMA", 0x55, -8), ("PCMA", 0xAA, 32256),
    ("PCMA", 0x2A, -32256), ("PCMA", 0xC5, 264),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "code", "sample"), KNOWN)
def test_codes_of_the_standard(codec: Codec, code: int, sample: int) -> None:
    assert g711.decode(codec, bytes([code])).tolist() == [sample]
    assert g711.encode(codec, np.array([sample], dtype=np.int16)) == bytes([code])


@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_comes_back_as_the_nearest_there_is(codec: Codec) -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    values = np.unique(g711.decode(codec, bytes(range(256)))).astype(int)
    back = g711.decode(codec, g711.encode(codec, every)).astype(int)
    at = np.clip(np.searchsorted(values, every), 1, len(values) - 1)
    nearest = np.minimum(abs(values[at] - every), abs(values[at - 1] - every))
    assert (abs(back - every) == nearest).all()


@given(
    kind=st.integers(0, 127).filter(lambda n: not 64 <= n <= 95),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
)
def test_a_packet_is_read_back(
    kind: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, marker: bool
) -> None:
    packet = Packet(
        payload_type=kind, sequence=sequence, timestamp=timestamp, ssrc=ssrc, payload=payload,
        marker=marker,
    )  # fmt: skip
    assert rtp.parse(packet.encode()) == packet


@given(st.binary(max_size=80))
def test_garbage_is_no_packet(data: bytes) -> None:
    with contextlib.suppress(RtpError):
        rtp.parse_key(rtp.parse(data).payload)


def test_padding_and_an_extension_are_taken_off() -> None:
    head = bytes([0x80 | 0x20 | 0x10, 0]) + bytes(10)
    data = head + b"\xbe\xde\x00\x01" + b"extn" + b"sound" + b"\x00\x00\x03"
    assert rtp.parse(data).payload == b"sound"


def test_a_key_press_is_heard_once_although_it_is_sent_many_times() -> None:
    pad, heard = Keypad(), ""
    for press, key in enumerate("0119*#"):
        for event in rtp.press(key):
            packet = Packet(
                payload_type=101, sequence=0, timestamp=press, ssrc=1, payload=event.encode()
            )
            heard += pad.take(packet)
    assert heard == "0119*#"


def test_there_is_no_key_z() -> None:
    with pytest.raises(RtpError):
        rtp.press("Z")


def sound(number: int) -> Packet:
    return Packet(
        payload_type=0, sequence=number & 0xFFFF, timestamp=0, ssrc=1, payload=bytes([number & 255])
    )


@given(order=st.permutations(range(4)), start=st.integers(0, 65535))
def test_packets_that_overtook_each_other_are_put_in_order(order: list[int], start: int) -> None:
    buffer = JitterBuffer(depth=4)
    numbers = [start, *[start + 1 + n for n in order], *range(start + 5, start + 12)]
    out = [payload for n in numbers for payload in buffer.push(sound(n))]
    assert out == [bytes([n & 255]) for n in range(start, start + 8)]
    assert buffer.lost == 0


@given(st.sets(st.integers(1, 19)), st.integers(0, 65535))
def test_a_lost_packet_leaves_a_hole(lost: set[int], start: int) -> None:
    buffer = JitterBuffer(depth=3)
    kept = [n for n in range(30) if n not in lost]
    out = [payload for n in kept for payload in buffer.push(sound(start + n))]
    assert out == [None if n in lost else bytes([start + n & 255]) for n in range(27)]
    assert buffer.lost == len(lost)
    assert buffer.push(sound(start)) == [], "a packet that comes too late"


def test_a_stream_that_counts_anew_is_followed() -> None:
    buffer = JitterBuffer(depth=2)
    for n in range(5):
        buffer.push(sound(n))
    out = [payload for n in range(20_000, 20_005) for payload in buffer.push(sound(n))]
    assert out == [bytes([n & 255]) for n in range(20_000, 20_003)]


def test_a_line_loses_and_delays_as_ordered_and_the_same_each_time() -> None:
    line = Line(loss=0.03, jitter_ms=40, seed=7)
    fate, again = Fate(line), Fate(line)
    due = [fate.of(n * 0.02) for n in range(10_000)]
    assert due == [again.of(n * 0.02) for n in range(10_000)]
    assert 0.02 < due.count(None) / len(due) < 0.04
    late = [at - n * 0.02 for n, at in enumerate(due) if at is not None]
    assert min(late) >= 0
    assert 0.03 < max(late) < 0.07
    arrived = [at for at in due if at is not None]
    assert arrived == sorted(arrived), "a queue does not reorder"


@pytest.mark.parametrize("bad", [{"loss": 1.1}, {"loss": -0.1}, {"jitter_ms": -1.0}])
def test_a_line_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Line(**bad)  # type: ignore[arg-type]  # the seed is not among them
