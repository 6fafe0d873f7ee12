"""Speech as Opus packets of 20 ms, each to be sent as one message."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

SAMPLE_RATES = (8000, 12000, 16000, 24000, 48000)
"""The rates that the codec knows, in Hz."""

BITS_PER_S = 24_000
"""Wide-band speech, to the codec's own recommendation (RFC 6716, 2.1.1: 16 to 20 kbit/s, and some
more for a recogniser's sake)."""

_BYTES_PER_SAMPLE = 2


def is_available() -> bool:
    """Whether PyAV is installed, which does the work."""
    return find_spec("av") is not None


class OpusEncoder:
    """Encodes mono PCM piece by piece.

    Args:
        sample_rate: One of ``SAMPLE_RATES``.
    """

    def __init__(self, *, sample_rate: int) -> None:
        self._rate = sample_rate
        self._codec = _open_codec(sample_rate)
        self._packet_bytes = (self._codec.frame_size or sample_rate // 50) * _BYTES_PER_SAMPLE
        self._rest = b""

    def push(self, pcm: bytes) -> list[bytes]:
        """Take s16le samples; return the packets that are complete."""
        data = self._rest + pcm
        whole = len(data) - len(data) % self._packet_bytes
        self._rest = data[whole:]
        starts = range(0, whole, self._packet_bytes)
        return [
            packet
            for start in starts
            for packet in self._encode(data[start : start + self._packet_bytes])
        ]

    def flush(self) -> list[bytes]:
        """The last packet, filled up with silence; nothing if all was sent."""
        return self.push(bytes(self._packet_bytes - len(self._rest))) if self._rest else []

    def _encode(self, pcm: bytes) -> list[bytes]:
        import av  # an optional part

        samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = self._rate
        return [bytes(packet) for packet in self._codec.encode(frame)]


def _open_codec(sample_rate: int) -> AudioCodecContext:
    import av  # an optional part
    from av.audio.codeccontext import AudioCodecContext

    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate = sample_rate
    codec.layout = "mono"
    codec.format = "s16"
    codec.bit_rate = BITS_PER_S
    codec.options = {"application": "voip", "frame_duration": "20"}
    codec.open()
    return codec
