"""Synthesis: a request a clause, in two formats, through everything networks do."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError
from livekit.plugins import gateflow

from tests.faults_met import FaultsMet
from tests.wer import wer

from .gateflow_harness import REAL, SLOW, rig
from .gateway_harness import eventually
from .vendors import SENTENCES, seconds, speak, speak_whole, speech_at_16k

EXPECTED_S = 0.06 * (len(SENTENCES) - 1)
TWICE = APIConnectOptions(max_retry=1, retry_interval=0.05, timeout=3.0)
FORMATS: list[gateflow.AudioFormats] = ["pcm", "mp3"]


@pytest.mark.parametrize("kind", FORMATS)
async def test_pcm_and_mp3_sound_alike(kind: Any) -> None:
    async with rig() as it:
        voice = gateflow.TTS(**it.access, response_format=kind)
        assert seconds(await speak(voice)) == pytest.approx(EXPECTED_S, abs=0.15)
        assert seconds(await speak_whole(voice)) == pytest.approx(EXPECTED_S, abs=0.15)
        assert voice.faults.counts == {}
        await voice.aclose()


@pytest.mark.alone
async def test_pcm_and_mp3_give_the_same_words() -> None:
    text = "Your desk lamp has shipped. It arrives on Monday, in the afternoon."
    async with rig(**REAL) as it:
        heard = {}
        for kind in FORMATS:
            voice = gateflow.TTS(**it.access, response_format=kind)
            audio = await speak(voice, text)
            event = await gateflow.STT(**it.access).recognize(speech_at_16k(audio))
            heard[kind] = event.alternatives[0].text
            await voice.aclose()
    assert wer(text, heard["pcm"]) <= 0.1, heard
    assert wer(heard["pcm"], heard["mp3"]) == 0, heard


async def test_the_next_clause_is_fetched_while_one_is_heard() -> None:
    async with rig() as it:
        voice = gateflow.TTS(**it.access)
        async with voice.stream() as stream:
            stream.push_text("One is here. Two is here. Three is here. Four is here.")
            stream.end_input()
            await anext(stream)
            assert 1 <= it.gateway.stats.stages["tts"].opened <= 4
        await voice.aclose()


@pytest.mark.parametrize("kind", FORMATS)
async def test_barge_in_closes_the_request(kind: Any) -> None:
    async with rig(sim=SLOW) as it:
        voice = gateflow.TTS(**it.access, response_format=kind)
        async with voice.stream() as stream:
            stream.push_text(SENTENCES * 20)
            await anext(stream)
        await voice.aclose()
        await eventually(lambda: it.gateway.stats.stages["tts"].open == 0)
        assert it.gateway.stats.stages["tts"].closed_by_client >= 1


async def test_F14_odd_bytes_are_carried() -> None:
    async with rig() as it:
        it.fault("tts", "odd_bytes")
        voice = gateflow.TTS(**it.access)
        audio = await speak(voice)
        assert seconds(audio) == pytest.approx(EXPECTED_S, abs=0.05)
        # a shifted byte would make noise at full scale out of tones at a third of it
        assert max(abs(sample) for frame in audio for sample in frame.data) < 11_000
        await voice.aclose()


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("refuse", {}),
        ("http_status", {"status": 503}),
        ("half_open", {}),
        ("stall", {"ms": 5000}),
        ("reset", {}),
        ("close", {}),
        ("drip", {"bytes_per_s": 1}),
    ],
)
async def test_F17_before_the_first_sound_the_frameworks_loop_asks_again(
    do: str, fields: dict[str, Any]
) -> None:
    timeouts = gateflow.TTSTimeouts(first_audio_s=0.4)
    async with rig() as it:
        it.fault("tts", do, connection=1, **fields)
        voice = gateflow.TTS(**it.access, timeouts=timeouts)
        with FaultsMet(voice.faults) as met:
            async with voice.stream(conn_options=TWICE) as stream:
                stream.push_text("Your order has shipped.")
                stream.end_input()
                audio = [event.frame async for event in stream]
            assert seconds(audio) == pytest.approx(0.06 * 23, abs=0.1)
            assert sum(met.counts.values()) == 1
        await voice.aclose()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("do", "fields"), [("reset", {}), ("close", {}), ("stall", {"ms": 5000}), ("half_open", {})]
)
async def test_F18_F19_what_was_not_heard_is_asked_for(
    do: str, fields: dict[str, Any], kind: Any
) -> None:
    timeouts = gateflow.TTSTimeouts(inter_chunk_s=0.3)
    text = "This is a rather long sentence that will be cut somewhere in the middle of it."
    async with rig() as it:
        it.fault(
            "tts", do, connection=1, at={"byte": 12_000 if kind == "mp3" else 96_000}, **fields
        )
        voice = gateflow.TTS(**it.access, timeouts=timeouts, response_format=kind)
        with FaultsMet(voice.faults) as met:
            # nothing twice, and at most a word and a half missing
            heard_s = seconds(await speak_whole(voice, text))
            assert 0.06 * len(text) - 1.2 <= heard_s <= 0.06 * len(text) + 0.3
            assert sum(met.counts.values()) == 1
        assert it.gateway.stats.stages["tts"].opened == 2
        await voice.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_F23_refusals_are_final(status: int) -> None:
    async with rig() as it:
        it.fault("tts", "http_status", status=status)
        voice = gateflow.TTS(**it.access)
        with pytest.raises(APIStatusError) as failure:
            await speak(voice, "Your order has shipped.")
        assert failure.value.status_code == status
        assert it.gateway.faults.fired("http_status") == 1
        await voice.aclose()


async def test_what_is_no_audio_is_refused() -> None:
    async with rig() as it:
        voice = gateflow.TTS(**{**it.access, "base_url": it.gateway.url.removesuffix("/v1")})
        with pytest.raises(APIError):
            await speak(voice)
        await voice.aclose()


async def test_text_with_nothing_to_say_is_silence() -> None:
    async with rig() as it:
        voice = gateflow.TTS(**it.access)
        assert 0 < seconds(await speak(voice, "...")) < 0.1
        assert it.gateway.stats.stages["tts"].opened == 0
        await voice.aclose()
