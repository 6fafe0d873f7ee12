"""16-bit PCM: to samples, from samples, in whole samples, at another rate."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
import numpy.typing as npt

from gateway.speech.vad import Samples

BYTES_PER_SAMPLE = 2


def to_samples(pcm: bytes | bytearray | memoryview) -> Samples:
    """Convert s16le to floats between -1 and 1. The result owns its memory."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0


def to_pcm(samples: npt.NDArray[np.floating]) -> bytes:
    """Convert floats between -1 and 1 to s16le, clipping what lies outside."""
    return bytes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())


class SampleAligner:
    """Passes on whole samples: a frame may end in the middle of one."""

    def __init__(self) -> None:
        self._odd = b""

    def push(self, data: bytes) -> bytes:
        """Return all whole samples so far; an odd byte waits for its other half."""
        data = self._odd + data
        cut = len(data) - len(data) % BYTES_PER_SAMPLE
        self._odd = data[cut:]
        return data[:cut]


class Resampler:
    """Converts one stream of mono samples to another rate, keeping its state between chunks."""

    def __init__(self, *, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=to_hz)
        self._passed_through = from_hz == to_hz

    def push(self, samples: Samples) -> Samples:
        """Return what can be told so far of the converted signal."""
        if self._passed_through or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[np.newaxis], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = self._from_hz
        return self._joined(self._resampler.resample(frame))

    def flush(self) -> Samples:
        """Return the tail that the filter still held; nothing may be pushed after it."""
        if self._passed_through:
            return np.zeros(0, np.float32)
        return self._joined(self._resampler.resample(None))

    @staticmethod
    def _joined(frames: list[av.AudioFrame]) -> Samples:
        parts = [frame.to_ndarray()[0] for frame in frames]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def slices(pcm: bytes, *, size: int) -> Iterator[bytes]:
    """Cut into pieces of `size` bytes, the last one shorter."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
