from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caller.activity import Samples
from caller.audio import resample
from caller.errors import CallerError
from caller.voice import LEAD_S, RATE, TAIL_S, Voice
from tests.unit.caller.sounds import joined, silence, tone


class Speaker:
    """Speaks a tone between long silences, and counts."""

    def __init__(self, speech: Samples) -> None:
        self.texts: list[str] = []
        self._speech = joined(silence(0.7), speech, silence(0.9))

    def synthesize(self, text: str, *, sample_rate: int) -> Iterator[bytes]:
        self.texts.append(text)
        yield resample(self._speech, rate=RATE, to=sample_rate).tobytes()


def write_wav(path: Path, samples: Samples, *, rate: int, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    return path


async def test_synthetic_speech_has_no_outer_silence_and_is_rendered_once() -> None:
    speaker = Speaker(tone(1.0))
    voice = Voice(synthesizer=speaker)
    await voice.prepare(["hello", "hello"])
    line = await voice.line("hello")
    assert speaker.texts == ["hello"]
    assert line.start / RATE == pytest.approx(LEAD_S, abs=0.001)
    assert (line.end - line.start) / RATE == pytest.approx(1.0, abs=0.021)
    assert (len(line.samples) - line.end) / RATE == pytest.approx(TAIL_S, abs=0.001)


async def test_lines_asked_for_at_once_are_rendered_once() -> None:
    speaker = Speaker(tone(0.3))
    voice = Voice(synthesizer=speaker)
    first, second = await asyncio.gather(voice.line("hello"), voice.line("hello"))
    assert first is second
    assert len(speaker.texts) == 1


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 2)])
async def test_a_recording_keeps_its_silence_but_not_in_its_times(
    tmp_path: Path, rate: int, channels: int
) -> None:
    sound = resample(joined(silence(0.5), tone(0.8), silence(0.4)), rate=RATE, to=rate)
    path = write_wav(tmp_path / "a.wav", sound, rate=rate, channels=channels)
    line = await Voice().line(path)
    assert line.said == "a.wav"
    assert len(line.samples) / RATE == pytest.approx(1.7, abs=0.005)
    assert line.start / RATE == pytest.approx(0.5, abs=0.0101)
    assert line.end / RATE == pytest.approx(1.3, abs=0.0101)


async def test_what_cannot_be_spoken_is_told(tmp_path: Path) -> None:
    voice = Voice(synthesizer=Speaker(silence(1.0)))
    with pytest.raises(CallerError, match="There is no sound in 'hush'"):
        await voice.line("hush")
    with pytest.raises(CallerError, match=r"There is no sound file .*none\.wav"):
        await voice.line(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(CallerError, match=r"text\.wav cannot be read as a WAV file"):
        await voice.line(tmp_path / "text.wav")
    with wave.open(str(tmp_path / "8.wav"), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(1)
        wav.setframerate(8000)
        wav.writeframes(bytes(80))
    with pytest.raises(CallerError, match="8-bit samples"):
        await voice.line(tmp_path / "8.wav")
