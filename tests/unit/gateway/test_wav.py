from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.wire.wav import decode_wav


def _wav(*, channels: int = 1, width: int = 2, rate: int = 16_000, frames: int = 100) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(bytes(channels * width * frames))
    return file.getvalue()


def test_mono_and_stereo() -> None:
    recording = decode_wav(_wav(channels=2, rate=48_000), max_audio_s=1)
    assert (recording.channels, recording.sample_rate_hz, len(recording.pcm)) == (2, 48_000, 400)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"not a recording at all, but long enough for a header ............",
        _wav(width=1),
        _wav(channels=3),
        _wav(rate=4_000),
        _wav(frames=16_001),
        _wav()[:40],
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_wav(data, max_audio_s=1)


def test_a_cut_recording_is_taken_as_far_as_it_goes() -> None:
    recording = decode_wav(_wav()[:-51], max_audio_s=1)
    assert len(recording.pcm) == 148


@given(st.binary(max_size=120), st.integers(0, 243))
def test_hostile_bytes(noise: bytes, at: int) -> None:
    whole = bytearray(_wav())
    whole[at : at + len(noise)] = noise
    for data in (noise, bytes(whole)):
        try:
            recording = decode_wav(data, max_audio_s=1)
        except ProtocolError:
            continue
        assert len(recording.pcm) <= 2 * 2 * recording.sample_rate_hz
