"""The client examples of the providers' own documentation, against the local gateway.

They are written as the documents have them, with the microphone and the loudspeaker replaced, with
a deadline on what waits, and with the libraries that are here. Nothing of ours is in between.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2 as httpx
import openai
from livekit import rtc

from .gateflow_harness import BRISK, FAST, REPLY, REPLY_S, SAID
from .vendors import KEY, LOCAL, SIM, WORDS, spoken, standing_in

DEADLINE_S = 15.0
BEARER = {"Authorization": f"Bearer {KEY}"}
TOKEN = {"Authorization": f"Token {KEY}"}


async def microphone(pcm: bytes, *, frames: int, rate: int = 16_000) -> AsyncIterator[bytes]:
    """A microphone that is read in buffers of so many frames, and then hears silence."""
    size = 2 * frames
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
        await asyncio.sleep(frames / rate)
    while True:
        yield bytes(size)
        await asyncio.sleep(frames / rate)


async def talk_into(
    socket: aiohttp.ClientWebSocketResponse, pcm: bytes, *, frames: int, rate: int = 16_000
) -> None:
    async for chunk in microphone(pcm, frames=frames, rate=rate):
        await socket.send_bytes(chunk)


# -- AIgateway: three model slugs, one key --------------------------------------------------------


async def test_aigateway_a_full_voice_loop() -> None:
    async with standing_in(sim=FAST) as (gateway, http), asyncio.timeout(DEADLINE_S):
        base = gateway.url.replace("http", "ws", 1)
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=KEY)
        speaker = bytearray()
        stt_url = f"{base}/audio/transcriptions/stream?model=deepgram/nova-3"
        tts_url = f"{base}/audio/speech/stream?model=elevenlabs/eleven-turbo-v3&voice=rachel"
        async with (
            client,
            http.ws_connect(stt_url, headers=BEARER) as ears,
            http.ws_connect(tts_url, headers=BEARER) as voice,
        ):
            mic_loop = asyncio.create_task(talk_into(ears, spoken(), frames=1024))
            try:
                utterance = await an_utterance(ears)
            finally:
                mic_loop.cancel()
            assert utterance == WORDS

            sentence = ""
            async for token in think(client, [{"role": "user", "content": utterance}]):
                sentence += token
                if sentence[-1] in ".?!":
                    await voice.send_str(json.dumps({"text": sentence}))
                    sentence = ""
            while len(speaker) < 2 * 24_000 * 0.06 * (len(REPLY) - 2):
                speaker += await voice.receive_bytes()


async def an_utterance(socket: aiohttp.ClientWebSocketResponse) -> str:
    async for message in socket:
        event = json.loads(message.data)
        if event.get("is_final"):
            return str(event["transcript"])
    raise AssertionError("the socket closed without a final")


async def think(client: openai.AsyncOpenAI, history: list[Any]) -> AsyncIterator[str]:
    system = (
        "You are a helpful voice assistant. Keep replies under 3 sentences, conversational, "
        "no markdown."
    )
    stream = await client.chat.completions.create(
        model="moonshot/kimi-k2.6",
        messages=[{"role": "system", "content": system}, *history],
        stream=True,
        extra_headers={"x-aig-tag": "voice.llm"},
    )
    async for chunk in stream:
        if token := chunk.choices[0].delta.content:
            yield token


async def test_aigateway_tools() -> None:
    tools: list[Any] = [
        {
            "type": "function",
            "function": {
                "name": "lookup_order",
                "description": "Find a customer's last order.",
                "parameters": {
                    "type": "object",
                    "properties": {"email": {"type": "string"}},
                    "required": ["email"],
                },
            },
        }
    ]
    question = "Where is my order? My email is peter@example.com."
    async with (
        standing_in(stand_ins={**SIM, "llm": LOCAL["llm"]}) as (gateway, _),
        openai.AsyncOpenAI(base_url=gateway.url, api_key=KEY) as client,
    ):
        stream = await client.chat.completions.create(
            model="moonshot/kimi-k2.6",
            messages=[{"role": "user", "content": question}],
            tools=tools,
            stream=True,
        )
        calls = [c async for chunk in stream for c in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function
    assert calls[0].function.name == "lookup_order"
    arguments = "".join(c.function.arguments or "" for c in calls if c.function)
    assert json.loads(arguments) == {"email": "peter@example.com"}


# -- GateFlow: streaming speech -------------------------------------------------------------------


async def test_gateflow_stream_transcription() -> None:
    frame = rtc.AudioFrame(spoken(), 16_000, 1, len(spoken()) // 2)
    async with (
        standing_in() as (gateway, _),
        httpx.AsyncClient() as client,
        client.stream(
            "POST",
            f"{gateway.url}/audio/transcriptions",
            headers=BEARER,
            files={"file": frame.to_wav_bytes()},
            data={"model": "whisper-1", "stream": "true"},
        ) as response,
    ):
        events = [json.loads(line) async for line in response.aiter_lines()]
    assert {event["type"] for event in events[:-1]} <= {"partial"}
    assert events[-1] == {"type": "final", "text": WORDS}


async def test_gateflow_stream_speech() -> None:
    async with standing_in(sim=FAST) as (gateway, _), httpx.AsyncClient() as client:
        for response_format in ("pcm", "mp3"):
            async with client.stream(
                "POST",
                f"{gateway.url}/audio/speech",
                headers={**BEARER, "Content-Type": "application/json"},
                json={
                    "model": "eleven_turbo_v2_5",
                    "input": "Your order has shipped.",
                    "voice": "friendly",
                    "stream": True,
                    "response_format": response_format,
                },
            ) as response:
                chunks = [chunk async for chunk in response.aiter_bytes()]
            assert len(chunks) > 1, "it is streamed"
            if response_format == "pcm":
                assert len(b"".join(chunks)) == 2 * 24_000 * 0.06 * 23


async def test_gateflow_voice_pipeline_stream() -> None:
    frame = rtc.AudioFrame(spoken(), 16_000, 1, len(spoken()) // 2)
    request = {
        "template": "voice-agent-fast",
        "audio": base64.b64encode(frame.to_wav_bytes()).decode(),
        "stream": True,
    }
    heard, said, played, complete = "", "", b"", False
    async with (
        standing_in(sim=BRISK) as (gateway, _),
        httpx.AsyncClient() as client,
        client.stream(
            "POST", f"{gateway.url}/audio/pipelines", headers=BEARER, json=request
        ) as response,
    ):
        async for line in response.aiter_lines():
            event = json.loads(line)
            if event["type"] == "error":
                raise AssertionError(event["message"])
            if event["type"] == "transcription.final":
                heard = event["text"]
            elif event["type"] == "llm.token":
                said += event["token"]
            elif event["type"] == "audio.chunk":
                played += base64.b64decode(event["data"])
            elif event["type"] == "done":
                complete = True
    assert heard == WORDS
    assert said == REPLY
    assert complete
    assert abs(len(played) / 48_000 - REPLY_S) < 0.1


async def test_gateflow_errors_say_whether_to_try_again() -> None:
    attempts = 0
    frame = rtc.AudioFrame(spoken(), 16_000, 1, len(spoken()) // 2)
    audio = base64.b64encode(frame.to_wav_bytes()).decode()
    async with standing_in(sim=BRISK) as (gateway, _), httpx.AsyncClient() as client:
        gateway.faults.set(
            [{"stage": "realtime", "do": "error_message", "connection": 1, "at": {"message": 1}}]
        )
        done = False
        while not done and attempts < 3:
            attempts += 1
            async with client.stream(
                "POST",
                f"{gateway.url}/audio/pipelines",
                headers=BEARER,
                json={"template": "voice-agent-fast", "audio": audio, "stream": True},
            ) as response:
                async for line in response.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "error":
                        assert event["recoverable"]
                        break
                    done = event["type"] == "done"
    assert (done, attempts) == (True, 2)


async def test_gateflow_realtime_voice() -> None:
    async with standing_in(sim=BRISK) as (gateway, http), asyncio.timeout(DEADLINE_S):
        uri = f"{gateway.url}/audio/realtime".replace("http", "ws", 1)
        async with http.ws_connect(uri, headers=BEARER) as ws:
            config = {
                "type": "config",
                "template": "voice-agent-fast",
                "context": "You are a helpful assistant.",
            }
            await ws.send_str(json.dumps(config))
            sending = asyncio.create_task(send_audio(ws))
            said, played = [], b""
            try:
                while len(played) < 2 * 24_000 * REPLY_S * 0.95:
                    event = json.loads(await ws.receive_str())
                    if event["type"] == "audio":
                        played += base64.b64decode(event["data"])
                    elif event["type"] == "transcript":
                        said.append(event["text"])
            finally:
                sending.cancel()
    assert " ".join(said) == REPLY


async def send_audio(ws: aiohttp.ClientWebSocketResponse) -> None:
    upsampled = rtc.AudioResampler(16_000, 24_000)
    whole = rtc.AudioFrame(SAID, 16_000, 1, len(SAID) // 2)
    pcm = b"".join(bytes(f.data) for f in [*upsampled.push(whole), *upsampled.flush()])
    async for chunk in microphone(pcm, frames=2_400, rate=24_000):
        await ws.send_str(json.dumps({"type": "audio", "data": base64.b64encode(chunk).decode()}))


# -- Deepgram: Nova-3 hears, GPT-4o-mini thinks, Aura-2 speaks -----------------------------------


async def test_deepgram_interim_results() -> None:
    interim, final = "", ""
    query = "model=nova-3&punctuate=true&interim_results=true"
    async with standing_in() as (gateway, http), asyncio.timeout(DEADLINE_S):
        url = f"{gateway.url}/listen?{query}".replace("http", "ws", 1)
        async with http.ws_connect(url, headers=TOKEN) as ws:
            sending = asyncio.create_task(talk_into(ws, spoken(), frames=4096))
            try:
                async for message in ws:
                    data = json.loads(message.data)
                    text = data["channel"]["alternatives"][0]["transcript"]
                    if data.get("is_final"):
                        final = text
                        break
                    interim = text
            finally:
                sending.cancel()
    assert final == WORDS
    assert interim
    assert WORDS.startswith(interim)


async def test_deepgram_nova_gpt_aura_with_a_round_trip() -> None:
    rate = 48_000
    listen = (
        f"model=nova-3&encoding=linear16&sample_rate={rate}&punctuate=true&interim_results=false"
        "&endpointing=200"
    )
    speak = f"model=aura-2-thalia-en&encoding=linear16&sample_rate={rate}"
    async with standing_in(sim=FAST) as (gateway, http), asyncio.timeout(DEADLINE_S):
        base = gateway.url.replace("http", "ws", 1)
        client = openai.AsyncOpenAI(base_url=gateway.url, api_key=KEY)
        async with (
            client,
            http.ws_connect(f"{base}/listen?{listen}", headers=TOKEN) as ears,
            http.ws_connect(f"{base}/speak?{speak}", headers=TOKEN) as voice,
        ):
            mic = spoken(rate=rate)
            sending = asyncio.create_task(talk_into(ears, mic, frames=8_000, rate=rate))
            try:
                heard = json.loads(await ears.receive_str())
            finally:
                sending.cancel()
            utterance = heard["channel"]["alternatives"][0]["transcript"]
            assert utterance == WORDS
            ended = time.perf_counter()

            await write(client, utterance, voice)
            audio, first_sound = await play(voice)
            round_trip_ms = 1000 * (first_sound - ended)
            assert 0 < round_trip_ms < 1000 * DEADLINE_S
            assert abs(len(audio) / (2 * rate) - 0.06 * (len(REPLY) - 1)) < 0.1


async def write(
    client: openai.AsyncOpenAI, utterance: str, voice: aiohttp.ClientWebSocketResponse
) -> None:
    """Tokens to the voice in batches, and a flush at the end."""
    prompt = "You are a succinct, helpful assistant. Respond in six words or fewer."
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": prompt},
            {"role": "user", "content": utterance},
        ],
        stream=True,
        temperature=0.4,
        max_tokens=60,
    )
    waiting = ""
    async for chunk in stream:
        waiting += chunk.choices[0].delta.content or ""
        if len(waiting) >= 20:
            await voice.send_str(json.dumps({"type": "Speak", "text": waiting}))
            waiting = ""
    if waiting:
        await voice.send_str(json.dumps({"type": "Speak", "text": waiting}))
    await voice.send_str(json.dumps({"type": "Flush"}))


async def play(voice: aiohttp.ClientWebSocketResponse) -> tuple[bytes, float]:
    """The audio up to the `Flushed`, and when its first byte came."""
    audio, first_sound = b"", 0.0
    while True:
        message = await voice.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            assert json.loads(message.data)["type"] == "Flushed"
            return audio, first_sound
        first_sound = first_sound or time.perf_counter()
        audio += message.data
