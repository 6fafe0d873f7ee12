"""`sim/tts`: audible bursts whose length fits the text, after a set time and at a set pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache

import numpy as np

from gateway.config import TTS_SAMPLE_RATE_HZ, SimConfig
from gateway.speech.pcm import BYTES_PER_SAMPLE, slices, to_pcm

_CHUNK_MS = 100
_FADE_SAMPLES = TTS_SAMPLE_RATE_HZ // 200
_AMPLITUDE = 0.3
_TONES_HZ = (220.0, 247.0, 277.0, 294.0, 330.0)
"""Successive words take successive tones, so that the ear and a test can tell them apart."""


@lru_cache(maxsize=256)
def _burst(samples: int, tone_hz: float) -> bytes:
    time = np.arange(samples) / TTS_SAMPLE_RATE_HZ
    # Faded in and out: a tone that is cut clicks.
    ramp = np.minimum(
        1.0, np.minimum(np.arange(samples), samples - np.arange(samples)) / _FADE_SAMPLES
    )
    return to_pcm(_AMPLITUDE * ramp * np.sin(2 * np.pi * tone_hz * time))


def speak_in_tones(text: str, *, char_ms: float) -> bytes:
    """Return one burst a word and silence for all else, `char_ms` a character.

    The same text gives the same audio: s16le mono 24 kHz.
    """
    char_samples = round(char_ms * TTS_SAMPLE_RATE_HZ / 1000)
    audio = bytearray()
    for index, word in enumerate(text.split(" ")):
        if index:
            audio += bytes(char_samples * BYTES_PER_SAMPLE)
        audio += _burst(len(word) * char_samples, _TONES_HZ[index % len(_TONES_HZ)])
    return bytes(audio)


class SimTts:
    """`gateway.engines.base.TtsEngine` by arithmetic."""

    def __init__(self, config: SimConfig) -> None:
        self._config = config

    async def connect(self, voice: str) -> SimTtsSession:
        """Begin a socket after the set time."""
        await asyncio.sleep(self._config.tts_connect_ms / 1000)
        return SimTtsSession(self._config)


class SimTtsSession:
    """One socket's voice."""

    def __init__(self, config: SimConfig) -> None:
        self._config = config

    async def speak(self, text: str, *, received_at_s: float) -> AsyncIterator[bytes]:
        """Return the audio of one text, its first chunk at the set time after the text came."""
        loop = asyncio.get_running_loop()
        due_s = max(received_at_s + self._config.tts_first_audio_ms / 1000, loop.time())
        chunk_bytes = TTS_SAMPLE_RATE_HZ * BYTES_PER_SAMPLE * _CHUNK_MS // 1000
        for chunk in slices(
            speak_in_tones(text, char_ms=self._config.tts_char_ms), size=chunk_bytes
        ):
            await asyncio.sleep(due_s - loop.time())
            yield chunk
            due_s += _CHUNK_MS / 1000 / self._config.tts_realtime_factor
