"""The caller's voice: lines of text or sound files, ready to be spoken without a surprise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from caller.activity import Samples, speech_bounds
from caller.audio import read_wav, resample
from caller.errors import LOCAL_MISSING, CallerError

RATE = 48_000
"""WebRTC's own rate: what is rendered at it is published as it is."""
SYNTHESIS_RATE = 24_000
"""What the synthesizer is asked for, samples a second."""
LEAD_S = 0.02
"""Silence kept before synthetic speech, so that a soft first sound is not cut."""
TAIL_S = 0.06
"""Silence kept after it, for the last sound to die away in."""


class Synthesizer(Protocol):
    """What turns text into s16le mono PCM. `gateway.engines.piper.PiperEngine` is one."""

    def synthesize(self, text: str, *, sample_rate: int) -> Iterator[bytes]:
        """Yield the speech for `text` in chunks."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Something to say, rendered.

    Attributes:
        said: Its words, or for a recording the file's name.
        samples: Mono, `RATE`.
        start: First sample of the speech itself.
        end: One past its last sample.
    """

    said: str = field(repr=False)
    samples: Samples = field(repr=False)
    start: int
    end: int


class Voice:
    """Renders lines and keeps them, so that a script can be rendered before its call begins.

    Synthesis takes a core for as long as a tenth of the speech; during a timed turn that would be
    measured as the agent's slowness.

    Args:
        synthesizer: None for Piper's, loaded when the first text is rendered.
    """

    def __init__(self, *, synthesizer: Synthesizer | None = None) -> None:
        self._synthesizer = synthesizer
        self._lines: dict[str | Path, Line] = {}
        self._lock = asyncio.Lock()

    async def line(self, words: str | Path) -> Line:
        """The rendered line for a text, or for a WAV file when given a `Path`.

        Raises:
            CallerError: The file cannot be read, or there is no sound in the line.
        """
        async with self._lock:
            if words not in self._lines:
                self._lines[words] = await asyncio.to_thread(self._render, words)
            return self._lines[words]

    async def prepare(self, lines: Iterable[str | Path]) -> None:
        """Render all `lines` now. Raises as `line`."""
        for words in lines:
            await self.line(words)

    def _render(self, words: str | Path) -> Line:
        if isinstance(words, Path):
            samples, rate = read_wav(words)
            return _line(words.name, resample(samples, rate=rate, to=RATE))
        if self._synthesizer is None:
            self._synthesizer = _piper()
        pcm = b"".join(self._synthesizer.synthesize(words, sample_rate=SYNTHESIS_RATE))
        samples = resample(np.frombuffer(pcm, dtype="<i2"), rate=SYNTHESIS_RATE, to=RATE)
        return _trimmed(_line(words, samples))


def _line(said: str, samples: Samples) -> Line:
    bounds = speech_bounds(samples, rate=RATE)
    if bounds is None:
        raise CallerError(f"There is no sound in {said!r}.")
    return Line(said=said, samples=samples, start=bounds[0], end=bounds[1])


def _trimmed(line: Line) -> Line:
    first = max(0, line.start - round(LEAD_S * RATE))
    last = line.end + round(TAIL_S * RATE)
    return Line(
        said=line.said,
        samples=line.samples[first:last],
        start=line.start - first,
        end=line.end - first,
    )


def _piper() -> Synthesizer:
    try:
        # Here and not above: the engine needs the optional local packages, sound files do not.
        from gateway.engines.piper import PiperEngine
        from gateway.errors import EngineUnavailable
    except ImportError:
        raise CallerError(f"The caller cannot speak text: {LOCAL_MISSING}") from None
    try:
        return PiperEngine()
    except EngineUnavailable as e:
        raise CallerError(f"The caller cannot speak text: {e}.") from None
