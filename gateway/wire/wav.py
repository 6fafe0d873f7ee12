"""Recordings as people upload them: RIFF WAVE with 16-bit PCM."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

from gateway.errors import ProtocolError

_MIN_RATE_HZ = 8_000
_MAX_RATE_HZ = 192_000
_SAMPLE_WIDTH_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Decoded audio: interleaved s16le."""

    pcm: bytes
    sample_rate_hz: int
    channels: int


def decode_wav(data: bytes, *, max_audio_s: float) -> Recording:
    """Decode a WAV file.

    Raises:
        ProtocolError: if it is not 16-bit PCM in one or two channels, or longer than allowed.
    """
    try:
        with wave.open(io.BytesIO(data)) as reader:
            channels, width, rate, frames, *_ = reader.getparams()
            if width != _SAMPLE_WIDTH_BYTES or channels not in (1, 2):
                raise ProtocolError("the recording must be 16-bit PCM in one or two channels")
            if not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ:
                raise ProtocolError("the sample rate of the recording is not supported")
            if frames > rate * max_audio_s:
                raise ProtocolError(f"the recording is longer than {max_audio_s:g} s")
            pcm = reader.readframes(frames)
    except (wave.Error, EOFError, RuntimeError):  # RuntimeError: a chunk header that cannot be
        raise ProtocolError("the file is not a WAV recording") from None
    whole = len(pcm) - len(pcm) % (_SAMPLE_WIDTH_BYTES * channels)
    return Recording(pcm=pcm[:whole], sample_rate_hz=rate, channels=channels)
