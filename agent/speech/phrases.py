"""Fixed phrases, kept as audio: they can be said at once, and when no voice can be reached.

Each phrase is synthesised once per voice, in the background of a call, and kept in memory and in a
folder that all job processes share. Until then, and for a first call that finds the voice down, a
recorded filler and apology come with the package.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
import wave
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import APIError, tts

logger = logging.getLogger("parley.phrases")

_RECORDED_APOLOGY = Path(__file__).with_name("apology.wav")
"""Piper's "joe" (CC0) saying: Sorry, something went wrong on my side. Please try again in a
moment."""

_RECORDED_FILLER = Path(__file__).with_name("one_moment.wav")
"""The same voice saying: One moment, please."""

_FRAME_MS = 100
"""Each frame on its way to the room costs CPU."""
_AHEAD = 4
"""How many times faster than it is heard a kept phrase is handed out."""
_RENDER_TIMEOUT_S = 20.0
_MAX_SECONDS = 30.0
_SAMPLE_BYTES = 2


class PhraseCache:
    """Audio of fixed phrases in one voice.

    Args:
        folder: Where the audio is kept; made when missing.
        voice: What identifies the voice, for example its route. A changed voice renders anew.
    """

    def __init__(self, *, folder: Path, voice: str) -> None:
        self._folder = folder
        self._voice = voice
        self._memory: dict[str, list[rtc.AudioFrame]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, text: str) -> list[rtc.AudioFrame] | None:
        """The audio of a phrase in frames of 100 ms, or None while there is none."""
        phrase = text.strip()
        if phrase not in self._memory:
            path = self._path(phrase)
            if not path.is_file():
                return None
            try:
                self._memory[phrase] = read_frames(path)
            except (OSError, EOFError, wave.Error) as e:
                logger.warning("unreadable phrase", extra={"error": type(e).__name__})
                return None
        return self._memory[phrase]

    def render_missing(self, voice: tts.TTS[Any], phrases: Iterable[str]) -> None:
        """Synthesise in the background what is not kept yet; a failure leaves it for later."""
        missing = [p for p in dict.fromkeys(phrases) if p and self.get(p) is None]
        if missing:
            task = asyncio.create_task(self._render(voice, missing), name="render phrases")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Stop rendering."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _render(self, voice: tts.TTS[Any], phrases: list[str]) -> None:
        for phrase in phrases:
            try:
                async with asyncio.timeout(_RENDER_TIMEOUT_S):
                    frame = await voice.synthesize(phrase).collect()
            except (APIError, TimeoutError) as e:
                logger.warning("phrase not rendered", extra={"error": type(e).__name__})
                return
            await asyncio.to_thread(self._keep, phrase, frame)

    def _keep(self, phrase: str, frame: rtc.AudioFrame) -> None:
        path = self._path(phrase)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file, wave.open(file, "wb") as audio:
            audio.setnchannels(frame.num_channels)
            audio.setsampwidth(_SAMPLE_BYTES)
            audio.setframerate(frame.sample_rate)
            audio.writeframes(frame.data.tobytes())
        # Renamed into place: another process never reads half a file.
        Path(temporary).replace(path)

    def _path(self, phrase: str) -> Path:
        digest = hashlib.sha256(f"{self._voice}\n{phrase}".encode()).hexdigest()
        return self._folder / f"{digest[:32]}.wav"


async def frames_of(phrase: Iterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
    """A phrase as a stream, faster than it is heard, but not all at once.

    The framework analyses what it is given for the pace of captions, and would do so for all of it
    before the first of it is sent: 0.3 s of silence for a greeting of 6 s.
    """
    for frame in phrase:
        yield frame
        await asyncio.sleep(frame.duration / _AHEAD)


def recorded_apology() -> list[rtc.AudioFrame]:
    """The apology that comes with the package, for when no voice was ever reached."""
    return read_frames(_RECORDED_APOLOGY)


def recorded_filler() -> list[rtc.AudioFrame]:
    """The filler that comes with the package, for the same case."""
    return read_frames(_RECORDED_FILLER)


def read_frames(path: Path) -> list[rtc.AudioFrame]:
    """A 16-bit WAV file in frames of 100 ms; at most 30 s of it."""
    with wave.open(str(path), "rb") as audio:
        rate, channels, width = audio.getframerate(), audio.getnchannels(), audio.getsampwidth()
        if width != _SAMPLE_BYTES:
            raise wave.Error(f"{8 * width}-bit audio, expected 16")
        data = audio.readframes(int(rate * _MAX_SECONDS))
    step = rate * _FRAME_MS // 1000
    size = step * channels * _SAMPLE_BYTES
    whole = range(0, len(data) - size + 1, size)
    return [rtc.AudioFrame(data[at : at + size], rate, channels, step) for at in whole]
