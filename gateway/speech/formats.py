"""Audio as clients send and ask for it: PCM at any rate, Opus packets, MP3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av
import av.error
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from gateway.config import STT_SAMPLE_RATE_HZ, TTS_SAMPLE_RATE_HZ
from gateway.errors import ProtocolError
from gateway.speech.pcm import Resampler, SampleAligner, to_pcm, to_samples

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 48_000
_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MP3_BITS_PER_S = 64_000
"""Enough for one voice at 24 kHz; hosted voices offer 32 to 192 kbit/s."""


def _told(rates_hz: tuple[int, ...]) -> str:
    return ", ".join(map(str, rates_hz))


@dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """How audio is written.

    Raises:
        ProtocolError: if this gateway cannot read or write it.
    """

    encoding: str = "linear16"
    """`linear16` (s16le), `opus` (one packet a message) or `mp3`; always mono."""
    rate_hz: int = STT_SAMPLE_RATE_HZ

    def __post_init__(self) -> None:
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise ProtocolError(f"sample_rate must lie between {MIN_RATE_HZ} and {MAX_RATE_HZ}")
        if self.encoding not in ("linear16", "opus", "mp3"):
            raise ProtocolError("encoding must be linear16, opus or mp3")
        if self.encoding == "opus" and self.rate_hz not in _OPUS_RATES_HZ:
            raise ProtocolError(f"Opus knows the sample rates {_told(_OPUS_RATES_HZ)}")
        if self.encoding == "mp3" and self.rate_hz not in _MP3_RATES_HZ:
            raise ProtocolError(f"MP3 knows the sample rates {_told(_MP3_RATES_HZ)}")


SPOKEN = AudioFormat(rate_hz=TTS_SAMPLE_RATE_HZ)
"""What the voices here make."""


class Intake(Protocol):
    """Turns a client's audio into what recognisers take."""

    def push(self, data: bytes) -> bytes:
        """Return s16le mono 16 kHz.

        Raises:
            ProtocolError: if the data is not in the format that was announced.
        """


class _PcmIntake:
    def __init__(self, rate_hz: int) -> None:
        self._aligner = SampleAligner()
        self._resampler = Resampler(from_hz=rate_hz, to_hz=STT_SAMPLE_RATE_HZ)

    def push(self, data: bytes) -> bytes:
        return to_pcm(self._resampler.push(to_samples(self._aligner.push(data))))


class _OpusIntake:
    """Raw Opus packets, one a message."""

    def __init__(self) -> None:
        # libopus decodes to 48 kHz whatever rate it was fed with
        self._decoder = av.CodecContext.create("libopus", "r")
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=STT_SAMPLE_RATE_HZ)

    def push(self, data: bytes) -> bytes:
        if not data:
            return b""
        try:
            frames = self._decoder.decode(av.Packet(data))
        except av.error.FFmpegError:
            raise ProtocolError("a message is not an Opus packet") from None
        out = bytearray()
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            for piece in self._resampler.resample(frame):
                out += piece.to_ndarray().astype("<i2").tobytes()
        return bytes(out)


class _Untouched:
    def push(self, data: bytes) -> bytes:
        return data


def intake(source: AudioFormat) -> Intake:
    """Return what reads this format.

    Raises:
        ProtocolError: if recognisers here cannot be fed with it.
    """
    if source.encoding == "opus":
        return _OpusIntake()
    if source.encoding != "linear16":
        raise ProtocolError("encoding must be linear16 or opus")
    if source.rate_hz == STT_SAMPLE_RATE_HZ:
        return _Untouched()  # what comes in odd pieces is aligned further on
    return _PcmIntake(source.rate_hz)


class Delivery(Protocol):
    """Turns the audio of one text into what a client asked for."""

    def push(self, pcm: bytes) -> bytes:
        """Take s16le mono 24 kHz in whole samples; return what can be sent so far."""

    def flush(self) -> bytes:
        """Return the rest; nothing may be pushed after it."""


class _PcmDelivery:
    def __init__(self, rate_hz: int) -> None:
        self._resampler = Resampler(from_hz=TTS_SAMPLE_RATE_HZ, to_hz=rate_hz)

    def push(self, pcm: bytes) -> bytes:
        return to_pcm(self._resampler.push(to_samples(pcm)))

    def flush(self) -> bytes:
        return to_pcm(self._resampler.flush())


class _Mp3Delivery:
    def __init__(self, rate_hz: int) -> None:
        codec = av.CodecContext.create("libmp3lame", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = rate_hz
        codec.layout = "mono"
        codec.format = "s16p"
        codec.bit_rate = _MP3_BITS_PER_S
        self._encoder = codec
        self._resampler = av.AudioResampler(
            format="s16p", layout="mono", rate=rate_hz, frame_size=codec.frame_size or 1152
        )

    def push(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
        if not samples.size:
            return b""
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = TTS_SAMPLE_RATE_HZ
        return self._encoded(self._resampler.resample(frame))

    def flush(self) -> bytes:
        return self._encoded([*self._resampler.resample(None), None])

    def _encoded(self, frames: list[av.AudioFrame] | list[av.AudioFrame | None]) -> bytes:
        return b"".join(bytes(packet) for frame in frames for packet in self._encoder.encode(frame))


class _Verbatim:
    def push(self, pcm: bytes) -> bytes:
        return pcm

    def flush(self) -> bytes:
        return b""


def delivery(wanted: AudioFormat) -> Delivery:
    """Return what writes this format.

    Raises:
        ProtocolError: if voices here cannot be sent in it.
    """
    if wanted == SPOKEN:
        return _Verbatim()
    if wanted.encoding == "mp3":
        return _Mp3Delivery(wanted.rate_hz)
    if wanted.encoding != "linear16":
        raise ProtocolError("speech is sent as linear16 or mp3")
    return _PcmDelivery(wanted.rate_hz)
