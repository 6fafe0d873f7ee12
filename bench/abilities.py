"""What each provider's wire form can do, found by using it: its client against the local gateway.

Nothing here is a list of claims. A cell says yes when the thing happened, through the plugin that
the agent's settings choose for the provider.
"""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from livekit import rtc
from livekit.agents import function_tool, inference, llm, stt, tts, utils, vad
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import openai
from pydantic import SecretStr

from agent.config import ConfigError, Settings
from agent.providers import build_realtime, make_llm, make_stt, make_tts
from agent.routes import TRANSPORTS, RealtimeRoute
from demo.binaries import ROOT
from gateway.config import BrainConfig, GatewayConfig, SimConfig
from gateway.server import Gateway

KEY = "a-key-of-more-than-thirty-two-characters"
RECORDING = ROOT / "tests" / "audio" / "two_cities.wav"
MODELS = {
    "aigateway": ("deepgram/nova-3", "moonshot/kimi-k2.6", "elevenlabs/eleven-turbo-v3:rachel"),
    "gateflow": ("whisper-1", "gpt-5-mini", "eleven_turbo_v2_5:friendly"),
    "deepgram": ("nova-3", "x", "aura-2-andromeda-en"),
    "openai": ("gpt-4o-mini-transcribe", "gpt-4o-mini", "gpt-4o-mini-tts"),
    "elevenlabs": ("x", "x", "eleven_turbo_v2_5"),
    "inference": ("deepgram/nova-3", "openai/gpt-4o-mini", "cartesia/sonic-3"),
}
"""A model of each stage; what has no such stage refuses whatever it is."""

_RATE_HZ = 16_000
_FRAME_MS = 20
_SPEECH_S = (1.0, 2.8)
"""A stretch of the recording that ends in the middle of a pause."""
_TIMEOUT_S = 30.0
_FIRST_SOUND_S = 3.0
_FAST = SimConfig(
    tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=20, tts_char_ms=4, stt_final_ms=500
)
_PATIENT = SimConfig(stt_final_ms=500)
"""The recording is a human voice: the pauses inside its words are no ends."""
_STAND_INS = {"stt": "sim/stt", "llm": "local/brain", "tts": "sim/tts"}


_Cells: TypeAlias = tuple[bool, ...]


@dataclass(frozen=True)
class Table:
    """One stage: a row for each provider that has it, a cell for each ability."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, _Cells]


async def probe() -> list[Table]:
    """Use every provider once.

    Raises:
        TimeoutError: One did not answer.
        APIError: One failed.
    """
    hearing, thinking, speaking, talking = await asyncio.gather(
        _all(_hear), _all(_think), _all(_speak), _talk_over_all()
    )
    return [
        Table("Speech to text", _HEARING, hearing),
        Table("Language model", _THINKING, thinking),
        Table("Text to speech", _SPEAKING, speaking),
        Table("Realtime models", _TALKING, talking),
    ]


_HEARING = ("hears while the caller speaks", "partials", "word times", "key terms")
_THINKING = ("streams", "tools", "token counts")
_SPEAKING = ("speaks before the text is complete", "word times")
_TALKING = (
    "finds the end of turns",
    "tells what the caller said",
    "tools",
    "can be asked for a reply",
    "remembers the conversation",
)
_SCRIPT = {
    "cursor": "gateway",
    "utterances": [{"text": "tell me a joke"}, {"text": "say that again"}],
    "reply": "I did not understand.",
}


@asynccontextmanager
async def _gateway(sim: SimConfig) -> AsyncIterator[str]:
    config = GatewayConfig(
        port=0,
        key=KEY,
        stand_ins=_STAND_INS,
        template=_STAND_INS,
        sim=sim,
        brain=BrainConfig(first_token_ms=1, words_per_s=500),
    )
    async with Gateway(config) as gateway:
        yield gateway.url


def _settings(url: str, **routes: str) -> Settings:
    """Every account at the local gateway, and one route; whatever the environment says."""
    vendors = ("aigateway", "gateflow", "deepgram", "openai", "eleven")
    values: dict[str, Any] = {f"{vendor}_base_url": url for vendor in vendors}
    values |= {f"{vendor}_api_key": SecretStr(KEY) for vendor in vendors}
    values |= {"inference_url": url, "inference_api_key": "any"}
    values |= {"inference_api_secret": SecretStr(KEY)}
    return Settings(**(values | routes))


async def _all(use: Callable[[str, str], Awaitable[_Cells]]) -> dict[str, _Cells]:
    """Use every provider's engine of one stage; those without one are left out."""
    async with _gateway(_PATIENT) as url:
        rows = await asyncio.gather(*(_one(use, provider, url) for provider in MODELS))
    return {provider: row for provider, row in zip(MODELS, rows, strict=True) if row is not None}


async def _one(
    use: Callable[[str, str], Awaitable[_Cells]], provider: str, url: str
) -> _Cells | None:
    try:
        async with asyncio.timeout(_TIMEOUT_S), utils.http_context.open():
            return await use(provider, url)
    except ConfigError:
        return None


# -- ears -----------------------------------------------------------------------------------------


async def _hear(provider: str, url: str) -> _Cells:
    detector = inference.VAD(model="silero", min_silence_duration=0.25)
    settings = _settings(url, stt=f"{provider}:{MODELS[provider][0]}")
    ears = make_stt(settings.stt_routes[0], settings, vad=detector)
    # what hears stretches of speech does so behind a detector, in the plugin or around it
    at_once = ears.capabilities.streaming and not _is_segmented(ears)
    heard = await _transcribe(ears, detector)
    finals = [e for e in heard if e.type is stt.SpeechEventType.FINAL_TRANSCRIPT]
    partials = [e for e in heard if e.type is stt.SpeechEventType.INTERIM_TRANSCRIPT]
    timed = any(
        word.start_time is not None for e in finals for word in e.alternatives[0].words or []
    )
    await ears.aclose()
    if isinstance(ears, openai.STT):
        await ears._client.close()  # its own aclose leaves it open
    if not finals:
        raise RuntimeError(f"{provider} understood nothing")
    return (at_once, bool(partials), timed, ears.capabilities.keyterms)


def _is_segmented(ears: stt.STT[Any]) -> bool:
    return getattr(ears, "_vad", None) is not None


async def _transcribe(ears: stt.STT[Any], detector: vad.VAD) -> list[stt.SpeechEvent]:
    streaming = ears if ears.capabilities.streaming else stt.StreamAdapter(stt=ears, vad=detector)
    events: list[stt.SpeechEvent] = []
    async with streaming.stream() as stream:
        pushing = asyncio.create_task(_push(stream.push_frame, stream.end_input))
        try:
            async for event in stream:
                events.append(event)
                if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                    break
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
    return events


async def _push(
    push_frame: Callable[[rtc.AudioFrame], None], end_input: Callable[[], None] | None = None
) -> None:
    """A sentence in real time, and a second of silence."""
    for frame in _sentence():
        push_frame(frame)
        await asyncio.sleep(frame.duration)
    if end_input:
        end_input()


def _sentence() -> list[rtc.AudioFrame]:
    with wave.open(str(RECORDING)) as recording:
        begin, end = (int(at * _RATE_HZ) for at in _SPEECH_S)
        recording.setpos(begin)
        pcm = recording.readframes(end - begin) + bytes(2 * _RATE_HZ)
    size = 2 * _RATE_HZ * _FRAME_MS // 1000
    return [
        rtc.AudioFrame(pcm[at : at + size], _RATE_HZ, 1, size // 2)
        for at in range(0, len(pcm) - size + 1, size)
    ]


# -- mind -----------------------------------------------------------------------------------------


@function_tool
async def lookup_order(email: str) -> str:
    """Find a customer's last order.

    Args:
        email: The customer's e-mail address.
    """
    return email


async def _think(provider: str, url: str) -> _Cells:
    settings = _settings(url, llm=f"{provider}:{MODELS[provider][1]}")
    model = make_llm(settings.llm_routes[0], settings)
    chunks = await _ask(model, "Tell me a joke.")
    words = [chunk for chunk in chunks if chunk.delta and chunk.delta.content]
    asked = await _ask(model, "Where is my order? My email is peter@example.com.")
    calls = any(chunk.delta and chunk.delta.tool_calls for chunk in asked)
    await model.aclose()
    return (len(words) > 1, calls, any(chunk.usage for chunk in chunks))


async def _ask(model: llm.LLM[Any], question: str) -> list[llm.ChatChunk]:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=question)
    async with model.chat(chat_ctx=context, tools=[lookup_order]) as answer:
        return [chunk async for chunk in answer]


# -- voice ----------------------------------------------------------------------------------------


async def _speak(provider: str, url: str) -> _Cells:
    settings = _settings(url, tts=f"{provider}:{MODELS[provider][2]}")
    voice = make_tts(settings.tts_routes[0], settings)
    try:
        if not voice.capabilities.streaming:
            async with voice.synthesize("Your order has shipped.") as whole:
                return (False, _timed([event.frame async for event in whole]))
        return await _stream(voice)
    finally:
        await voice.aclose()


async def _stream(voice: tts.TTS[Any]) -> _Cells:
    frames: list[rtc.AudioFrame] = []
    async with voice.stream() as stream:
        stream.push_text("Your order has shipped. It arrives ")
        try:
            async with asyncio.timeout(_FIRST_SOUND_S):
                frames.append((await anext(stream)).frame)
        except TimeoutError:
            pass
        before_the_end = bool(frames)
        stream.push_text("on Monday.")
        stream.end_input()
        frames += [event.frame async for event in stream]
    return (before_the_end, _timed(frames))


def _timed(frames: list[rtc.AudioFrame]) -> bool:
    return any(frame.userdata.get(USERDATA_TIMED_TRANSCRIPT) for frame in frames)


# -- realtime models ------------------------------------------------------------------------------


async def _talk_over_all() -> dict[str, _Cells]:
    routes = [RealtimeRoute("gateflow", "voice-agent-fast", transport) for transport in TRANSPORTS]
    rows = await asyncio.gather(*map(_talk_alone, routes))
    return {f"{r.provider}, {r.transport}": row for r, row in zip(routes, rows, strict=True)}


async def _talk_alone(route: RealtimeRoute) -> _Cells:
    """Over a gateway of its own, whose script nobody else follows."""
    with TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps(_SCRIPT))
        async with _gateway(replace(_FAST, script=script)) as url, utils.http_context.open():
            return await _talk(route, url)


async def _talk(route: RealtimeRoute, url: str) -> _Cells:
    settings = _settings(url, realtime=str(route))
    detector = inference.VAD(model="silero")
    model = build_realtime(route, settings, vad=detector)
    session = model.session()
    heard: list[llm.InputTranscriptionCompleted] = []
    session.on("input_audio_transcription_completed", heard.append)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await session.update_tools([lookup_order])
            try:
                await session.generate_reply()
                can_be_asked = True
            except llm.RealtimeError:
                can_be_asked = False
            replies = [await _turn(session, model), await _turn(session, model)]
    finally:
        await session.aclose()
        await model.aclose()
    return (
        model.capabilities.turn_detection,
        any(event.is_final for event in heard),
        bool(session.tools.flatten()),
        can_be_asked,
        replies[0] == replies[1],
    )


async def _turn(session: llm.RealtimeSession[Any], model: llm.RealtimeModel) -> str:
    """Say something, hear the answer out, and return its text."""
    loop = asyncio.get_running_loop()
    created: asyncio.Future[llm.GenerationCreatedEvent] = loop.create_future()

    def note(event: llm.GenerationCreatedEvent) -> None:
        if not created.done():
            created.set_result(event)

    session.on("generation_created", note)
    pushing = asyncio.create_task(_push_on(session))
    try:
        if not model.capabilities.turn_detection:
            await asyncio.sleep(_SPEECH_S[1] - _SPEECH_S[0] + 0.5)
            session.commit_audio()
            created = asyncio.ensure_future(session.generate_reply())
        return await _said(await created)
    finally:
        session.off("generation_created", note)
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)


async def _push_on(session: llm.RealtimeSession[Any]) -> None:
    """A sentence, and silence for as long as anybody waits."""
    session.start_user_activity()
    await _push(session.push_audio)
    silence = _sentence()[-1]
    while True:
        session.push_audio(silence)
        await asyncio.sleep(silence.duration)


async def _said(event: llm.GenerationCreatedEvent) -> str:
    text = ""
    async for message in event.message_stream:
        async for delta in message.text_stream:
            text += delta
        async for _ in message.audio_stream:
            pass
    return text.strip()
