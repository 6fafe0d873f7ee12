"""Opus packets: one a message, whatever pieces the audio came in."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.plugins import aigateway
from livekit.plugins.aigateway._codec import opus

RATE = 16_000


def tone(seconds: float, rate: int = RATE) -> bytes:
    samples = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    return (samples * 9_000).astype("<i2").tobytes()


def encoded(pcm: bytes, cuts: list[int], rate: int = RATE) -> list[bytes]:
    encoder = opus.OpusEncoder(sample_rate=rate)
    edges = [0, *sorted(2 * (cut % (len(pcm) // 2 + 1)) for cut in cuts), len(pcm)]
    packets = [packet for start, end in pairwise(edges) for packet in encoder.push(pcm[start:end])]
    return packets + encoder.flush()


def decoded_s(packets: list[bytes]) -> float:
    decoder = av.CodecContext.create("libopus", "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    return sum((frame.samples / frame.sample_rate for frame in frames), start=0.0)


@pytest.mark.parametrize("rate", opus.SAMPLE_RATES)
def test_the_packets_hold_all_the_audio_at_a_tenth_of_the_size(rate: int) -> None:
    pcm = tone(1.01, rate)
    packets = encoded(pcm, [], rate)
    assert len(packets) == 51
    assert decoded_s(packets) == pytest.approx(1.02, abs=0.001)
    assert sum(map(len, packets)) < 1.3 * opus.BITS_PER_S / 8


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5_000), max_size=8))
def test_how_the_audio_was_cut_never_matters(cuts: list[int]) -> None:
    pcm = tone(0.25)
    assert encoded(pcm, cuts) == encoded(pcm, [])


def test_what_is_flushed_is_not_sent_again() -> None:
    encoder = opus.OpusEncoder(sample_rate=RATE)
    assert encoder.flush() == []
    assert encoder.push(tone(0.01)) == []
    assert len(encoder.flush()) == 1
    assert encoder.flush() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "minimal"}, "dialect='deepgram'"),
        ({"sample_rate": 22_050}, "sample rates"),
    ],
)
def test_what_opus_needs_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aigateway.STT(api_key="k", encoding="opus", **options)  # type: ignore[arg-type]
