"""The real engines behind the sockets: a person's recording, a synthetic voice, and back again."""

from __future__ import annotations

import asyncio
import io
import json
import wave

import aiohttp
import pytest

from gateway.engines.piper import PiperEngine
from gateway.engines.whisper import WhisperEngine
from tests.wer import wer
from tests.wire.gateway_harness import TWO_CITIES, hear, serving, silence, two_cities

pytestmark = pytest.mark.alone

WHISPER = "/audio/transcriptions/stream?model=local/whisper-tiny.en"
PIPER = "/audio/speech/stream?model=local/piper-joe"
PRELOAD = ("local/whisper-tiny.en", "local/piper-joe")


@pytest.fixture(scope="module")
def voice() -> PiperEngine:
    return PiperEngine()


@pytest.fixture(scope="module")
def ears() -> WhisperEngine:
    return WhisperEngine()


def _wav(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


async def test_a_person_is_understood_in_real_time() -> None:
    async with serving(preload=PRELOAD) as (gateway, http):
        heard = await hear(http, gateway.url + WHISPER, two_cities() + silence(0.8))
    assert wer(TWO_CITIES, " ".join(heard.finals)) <= 0.10
    assert all(heard.finals)
    assert heard.close_code == 1000
    # partials come before the first final, and go on while speech does
    first_final = next(i for i, (_, m) in enumerate(heard.messages) if m["is_final"])
    assert first_final >= 3
    gaps = [b[0] - a[0] for a, b in zip(heard.messages, heard.messages[1:], strict=False)]
    assert sorted(gaps)[len(gaps) // 2] <= 0.5


@pytest.mark.parametrize(
    ("said", "bound"),
    [
        ("My email is anna at example dot com.", 0.0),
        ("What is on my calendar tomorrow?", 0.0),
        ("Book me a flight to Lisbon on Friday.", 0.15),
        ("Order the usual, please.", 0.0),
        ("Goodbye.", 0.0),
    ],
)
async def test_the_demos_sentences_are_understood(
    said: str, bound: float, voice: PiperEngine
) -> None:
    pcm = silence(0.4) + b"".join(voice.synthesize(said, sample_rate=16_000)) + silence(1.5)
    async with serving(preload=PRELOAD[:1]) as (gateway, http):
        heard = await hear(http, gateway.url + WHISPER, pcm)
    assert len(heard.finals) == 1
    assert wer(said, heard.finals[0]) <= bound
    final_at = next(at for at, m in heard.messages if m["is_final"])
    assert final_at < (len(pcm) / 32_000)  # told by the endpointer, not by CloseStream


async def test_noise_and_silence_are_not_words() -> None:
    import numpy as np

    noise = np.random.default_rng(1).normal(0, 0.02, 16_000 * 3)
    pcm = silence(1) + (noise * 32767).astype("<i2").tobytes() + silence(1)
    async with serving(preload=PRELOAD[:1]) as (gateway, http):
        heard = await hear(http, gateway.url + WHISPER, pcm, realtime=False)
    assert heard.finals == []


async def test_extended_words_have_times() -> None:
    async with serving(preload=PRELOAD[:1], extended=True) as (gateway, http):
        pcm = two_cities()[: 32_000 * 5]
        heard = await hear(http, gateway.url + WHISPER, pcm, realtime=False)
    final = next(m for _, m in heard.messages if m.get("is_final"))
    words = final["channel"]["alternatives"][0]["words"]
    assert [w["word"] for w in words[:6]] == "it was the best of times".split()
    assert 0.7 <= words[0]["start"] <= 1.3  # speech starts at 0.9 s
    assert all(w["start"] <= w["end"] for w in words)
    starts = [w["start"] for w in words]
    assert starts == sorted(starts)


async def _audio_until_quiet(ws: aiohttp.ClientWebSocketResponse) -> bytes:
    """The strict form has no end marker: the end is that no more audio comes."""
    audio = bytearray()
    try:
        while True:
            audio += await ws.receive_bytes(timeout=1.5)
    except TimeoutError:
        return bytes(audio)


async def test_speech_goes_round_at_24_khz(ears: WhisperEngine) -> None:
    said = "Your desk lamp is on its way, and it arrives on Monday."
    async with serving(preload=PRELOAD[1:]) as (gateway, http):
        audio = bytearray()
        async with http.ws_connect(gateway.url + PIPER) as ws:
            loop = asyncio.get_running_loop()
            start = loop.time()
            await ws.send_str(json.dumps({"text": said}))
            first = await ws.receive(timeout=5)
            first_audio_s = loop.time() - start
            audio += first.data
            audio += await _audio_until_quiet(ws)
        assert first_audio_s < 1.0
        form = aiohttp.FormData()
        form.add_field("model", "local/whisper-tiny.en")
        form.add_field("file", _wav(bytes(audio), 24_000), filename="a.wav")
        async with http.post(gateway.url + "/audio/transcriptions", data=form) as answer:
            assert wer(said, (await answer.json())["text"]) <= 0.1


def test_recordings_longer_than_whisper_hears_at_once(ears: WhisperEngine) -> None:
    pcm = (two_cities() + silence(0.5)) * 3
    assert wer(" ".join([TWO_CITIES] * 3), ears.transcribe(pcm)) <= 0.10
    assert ears.transcribe(silence(2)) == ""
    assert ears.transcribe(b"\x00") == ""
