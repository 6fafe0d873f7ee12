"""The pinned stock clients, unmodified, against the local gateway: what they send is answered."""

from __future__ import annotations

import asyncio
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from livekit.agents import APIStatusError, inference, llm, stt
from livekit.plugins import deepgram, elevenlabs, openai

from .vendors import (
    KEY,
    SENTENCES,
    WORDS,
    finals,
    frames,
    seconds,
    speak,
    speak_whole,
    spoken,
    standing_in,
    transcribe,
)


def kinds(events: list[stt.SpeechEvent]) -> set[stt.SpeechEventType]:
    return {event.type for event in events}


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_deepgram_listen(rate: int) -> None:
    async with standing_in() as (gateway, http):
        ears = deepgram.STT(
            model="nova-3",
            keyterm=["Parley", "desk lamp"],
            sample_rate=rate,
            api_key=KEY,
            base_url=f"{gateway.url}/listen",
            http_session=http,
        )
        events = await transcribe(ears.stream(), spoken(rate=rate), rate=rate)
        assert finals(events) == WORDS
        assert {
            stt.SpeechEventType.START_OF_SPEECH,
            stt.SpeechEventType.INTERIM_TRANSCRIPT,
            stt.SpeechEventType.FINAL_TRANSCRIPT,
            stt.SpeechEventType.END_OF_SPEECH,
        } <= kinds(events)
        final = next(e for e in events if e.type is stt.SpeechEventType.FINAL_TRANSCRIPT)
        assert final.alternatives[0].words
        assert gateway.stats.stages["stt"].errors == 0


async def test_deepgram_listen_to_a_recording() -> None:
    async with standing_in() as (gateway, http):
        ears = deepgram.STT(api_key=KEY, base_url=f"{gateway.url}/listen", http_session=http)
        event = await ears.recognize(frames(spoken()))
        assert event.alternatives[0].text == WORDS


async def test_deepgram_speak() -> None:
    async with standing_in() as (gateway, http):
        voice = deepgram.TTS(
            model="aura-2-andromeda-en",
            api_key=KEY,
            base_url=f"{gateway.url}/speak",
            http_session=http,
        )
        streamed = seconds(await speak(voice))
        assert streamed == pytest.approx(0.06 * len(SENTENCES), abs=0.3)
        again = seconds(await speak(voice))  # the pool keeps the socket: `Flushed` ended the reply
        assert again == pytest.approx(streamed, abs=0.05)
        assert seconds(await speak_whole(voice)) == pytest.approx(streamed, abs=0.15)
        await voice.aclose()


async def test_deepgram_clear_stops_the_voice() -> None:
    async with standing_in() as (gateway, http):
        url = f"{gateway.url}/speak?model=aura-2".replace("http", "ws")
        async with http.ws_connect(url, headers={"Authorization": f"Token {KEY}"}) as socket:
            await socket.send_json({"type": "Speak", "text": f"{SENTENCES} " * 5})
            await socket.receive_bytes(timeout=5)
            await socket.send_json({"type": "Clear"})
            async with asyncio.timeout(5):
                while (message := await socket.receive()).type.name == "BINARY":
                    pass
            assert message.json()["type"] == "Cleared"
            await socket.send_json({"type": "Speak", "text": "Yes."})
            await socket.send_json({"type": "Flush"})
            async with asyncio.timeout(5):
                audio = b""
                while (message := await socket.receive()).type.name == "BINARY":
                    audio += message.data
            assert message.json()["type"] == "Flushed"
            assert len(audio) == pytest.approx(4 * 0.06 * 48_000, abs=2)
            await socket.send_json({"type": "Close"})
            assert (await socket.receive(timeout=5)).data == 1000


@pytest.mark.parametrize("encoding", ["mp3_22050_32", "pcm_24000"])
async def test_elevenlabs(encoding: elevenlabs.TTSEncoding) -> None:
    async with standing_in() as (gateway, http):
        voice = elevenlabs.TTS(
            model="eleven_turbo_v2_5",
            encoding=encoding,
            api_key=KEY,
            base_url=gateway.url,
            http_session=http,
        )
        expected = 0.06 * len(SENTENCES)
        first, second = await asyncio.gather(speak(voice), speak(voice))  # two contexts, one socket
        assert seconds(first) == pytest.approx(expected, abs=0.4)
        assert seconds(second) == pytest.approx(expected, abs=0.4)
        assert gateway.stats.stages["tts"].opened == 1
        assert seconds(await speak_whole(voice)) == pytest.approx(expected, abs=0.4)
        await voice.aclose()


async def test_openai_speech_and_transcription() -> None:
    async with standing_in() as (gateway, _):
        voice = openai.TTS(api_key=KEY, base_url=gateway.url)
        assert seconds(await speak_whole(voice)) == pytest.approx(0.06 * len(SENTENCES), abs=0.3)
        await voice.aclose()
        for model in ("whisper-1", "gpt-4o-mini-transcribe"):
            ears = openai.STT(model=model, api_key=KEY, base_url=gateway.url)
            event = await ears.recognize(frames(spoken()))
            assert event.alternatives[0].text == WORDS
            await ears._client.close()  # its aclose leaves it open


def test_the_clients_are_the_pinned_ones() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    pinned = dict(d.split("==") for d in project["dependencies"] if d.startswith("livekit-"))
    assert {"livekit-agents", "livekit-plugins-deepgram"} <= pinned.keys()
    assert pinned == {name: version(name) for name in pinned}


async def test_livekit_inference() -> None:
    async with standing_in() as (gateway, http):
        ears = inference.STT(
            "deepgram/nova-3",
            base_url=gateway.url,
            api_key="any",
            api_secret=KEY,
            http_session=http,
        )
        assert finals(await transcribe(ears.stream(), spoken())) == WORDS
        voice = inference.TTS(
            "cartesia/sonic-3",
            base_url=gateway.url,
            api_key="any",
            api_secret=KEY,
            http_session=http,
        )
        expected = 0.06 * len(SENTENCES)
        for _ in range(2):
            assert seconds(await speak(voice)) == pytest.approx(expected, abs=0.4)
        await voice.aclose()
        mind = inference.LLM(
            "openai/gpt-4.1-mini", base_url=gateway.url, api_key="any", api_secret=KEY
        )
        ctx = llm.ChatContext.empty()
        ctx.add_message(role="user", content="Hello.")
        async with mind.chat(chat_ctx=ctx) as answer:
            said = [chunk.delta.content async for chunk in answer if chunk.delta]
        assert "".join(filter(None, said))
        await mind._client.close()  # its aclose leaves it open


async def test_a_token_with_another_secret_is_refused() -> None:
    async with standing_in() as (gateway, http):
        ears = inference.STT(
            "deepgram/nova-3",
            base_url=gateway.url,
            api_key="any",
            api_secret=KEY[::-1],
            http_session=http,
        )
        with pytest.raises(APIStatusError) as failure:
            await transcribe(ears.stream(), spoken())
        assert failure.value.status_code == 401


async def test_without_a_key_nobody_comes_in() -> None:
    async with standing_in() as (gateway, http):
        for path in ("listen", "speak", "stt", "tts", "text-to-speech/x/multi-stream-input"):
            async with http.get(f"{gateway.url}/{path}?model=m") as answer:
                assert answer.status == 401, path
