"""Reading, resampling and cutting PCM, with nothing but the standard library and LiveKit."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from livekit import rtc

from caller.activity import Samples
from caller.errors import CallerError

EAR_RATE = 16_000
"""What Whisper listens at, samples a second."""


def read_wav(path: Path) -> tuple[Samples, int]:
    """Read a 16-bit PCM WAV; several channels are mixed to one.

    Returns:
        The samples and their rate.

    Raises:
        CallerError: There is no such file, or it is not 16-bit PCM.
    """
    try:
        with wave.open(str(path), "rb") as wav:
            channels, width, rate = wav.getnchannels(), wav.getsampwidth(), wav.getframerate()
            data = wav.readframes(wav.getnframes())
    except FileNotFoundError:
        raise CallerError(f"There is no sound file {path}.") from None
    except (wave.Error, EOFError, OSError) as e:
        raise CallerError(f"{path} cannot be read as a WAV file: {e}.") from None
    if width != 2:
        raise CallerError(f"{path} has {8 * width}-bit samples; only 16-bit PCM is understood.")
    frames = np.frombuffer(data, dtype="<i2")
    if channels > 1:
        whole = len(frames) // channels * channels
        mixed = frames[:whole].reshape(-1, channels).mean(axis=1)
        return mixed.round().astype(np.int16), rate
    return frames.astype(np.int16), rate


def resample(samples: Samples, *, rate: int, to: int) -> Samples:
    """Change the sample rate of a whole recording (SoX, high quality)."""
    if rate == to or samples.size == 0:
        return samples
    resampler = rtc.AudioResampler(rate, to, quality=rtc.AudioResamplerQuality.HIGH)
    frames = [*resampler.push(bytearray(samples.tobytes())), *resampler.flush()]
    parts = [np.frombuffer(frame.data, dtype=np.int16) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)
