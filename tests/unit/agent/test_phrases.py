from __future__ import annotations

import wave
from pathlib import Path

import pytest

from agent.speech.phrases import PhraseCache, read_frames, recorded_apology


def write_wav(path: Path, *, seconds: float = 0.1, width: int = 2) -> None:
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(width)
        audio.setframerate(24_000)
        audio.writeframes(bytes(int(24_000 * seconds) * width))


def test_the_recorded_apology_is_there() -> None:
    frames = recorded_apology()
    assert 3.0 < sum(frame.duration for frame in frames) < 8.0
    assert {frame.sample_rate for frame in frames} == {24_000}
    assert any(any(frame.data) for frame in frames)


def test_what_is_kept_is_found_by_voice_and_words(tmp_path: Path) -> None:
    cache = PhraseCache(folder=tmp_path, voice="a")
    assert cache.get("Hello.") is None
    write_wav(cache._path("Hello."))
    found = cache.get(" Hello. ")
    assert found is not None
    assert sum(frame.duration for frame in found) == pytest.approx(0.1)
    assert PhraseCache(folder=tmp_path, voice="b").get("Hello.") is None


def test_a_broken_file_is_no_phrase(tmp_path: Path) -> None:
    cache = PhraseCache(folder=tmp_path, voice="a")
    for content in (b"", b"RIFF", b"x" * 1000):
        cache._path("Hello.").write_bytes(content)
        assert cache.get("Hello.") is None


def test_other_widths_are_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", width=1)
    with pytest.raises(wave.Error, match="8-bit"):
        read_frames(tmp_path / "a.wav")


def test_a_phrase_has_a_longest_length(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", seconds=40)
    assert sum(frame.duration for frame in read_frames(tmp_path / "a.wav")) == pytest.approx(30.0)
