"""The caller's own understanding of what it heard: Whisper, away from the timed moments."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from caller.errors import LOCAL_MISSING, CallerError


class Recognizer(Protocol):
    """What turns s16le mono 16 kHz into words. `gateway.engines.whisper.WhisperEngine` is one."""

    def transcribe(self, pcm: bytes) -> str:
        """Return the words in `pcm`."""


class Ears:
    """Transcribes utterances one at a time in a thread of its own.

    The caller calls it between turns: the agent has fallen silent and the caller has not begun its
    next line, so nothing is being timed, and people who watch see the words while they are fresh.
    Doing it while a turn runs would take one of the cores that are being timed. The thread is
    enough: what leaves the microphone in the meantime is silence, made natively.

    Args:
        recognizer: None for Whisper's smallest English model, loaded by `load`.
    """

    def __init__(self, *, recognizer: Recognizer | None = None) -> None:
        self._recognizer = recognizer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ears")

    async def load(self) -> None:
        """Load the model, before a call begins.

        Raises:
            CallerError: The optional packages are not installed.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def transcribe(self, pcm: bytes) -> str:
        """Return the words in `pcm` (s16le mono 16 kHz); raises as `load`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transcribe, pcm)

    def close(self) -> None:
        """Let the thread end once it has finished what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _transcribe(self, pcm: bytes) -> str:
        return self._load().transcribe(pcm).strip()

    def _load(self) -> Recognizer:
        if self._recognizer is None:
            self._recognizer = _whisper()
        return self._recognizer


def _whisper() -> Recognizer:
    try:
        # Here and not above: the engine needs the optional local packages.
        from gateway.engines.whisper import WhisperEngine
        from gateway.errors import EngineUnavailable
    except ImportError:
        raise CallerError(f"The caller cannot understand speech: {LOCAL_MISSING}") from None
    try:
        return WhisperEngine()
    except EngineUnavailable as e:
        raise CallerError(f"The caller cannot understand speech: {e}.") from None
