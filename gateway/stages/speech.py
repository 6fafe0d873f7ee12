"""Text to speech over HTTP: one text, one streamed body, in several dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

from gateway.speech.formats import AudioFormat, delivery
from gateway.stages.body import counted, send_all
from gateway.stages.context import CONTEXT, read_body
from gateway.stages.outlet import Outgoing
from gateway.wire.deepgram import decode_speak_body, decode_speak_query
from gateway.wire.elevenlabs import decode_output_format, decode_stream_body
from gateway.wire.gateflow import decode_speech

_CONTENT_TYPES = {"linear16": "audio/pcm", "mp3": "audio/mpeg"}


async def _answer(
    request: web.Request, *, model: str, voice: str, text: str, wanted: AudioFormat
) -> web.StreamResponse:
    context = request.app[CONTEXT]
    written = delivery(wanted)
    with context.stats.call("tts") as call, counted(call):
        engine = await context.engines.tts(model)
        session = await engine.connect(voice)
        words = len(text.split())

        async def pieces() -> AsyncGenerator[Outgoing]:
            now_s = asyncio.get_running_loop().time()
            async for pcm in session.speak(text, received_at_s=now_s):
                if data := written.push(pcm):
                    yield Outgoing(data=data, words=words)
            if rest := written.flush():
                yield Outgoing(data=rest, words=words)

        headers = {"Content-Type": _CONTENT_TYPES[wanted.encoding], "Cache-Control": "no-cache"}
        return await send_all(request, web.StreamResponse(headers=headers), pieces(), call)


async def audio_speech(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/audio/speech` (GateFlow, OpenAI)."""
    limits = request.app[CONTEXT].config.limits
    body = await read_body(request, max_bytes=limits.max_chat_body_bytes)
    asked = decode_speech(body, limits=limits)
    return await _answer(
        request, model=asked.model, voice=asked.voice, text=asked.text, wanted=asked.format
    )


async def deepgram_speech(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/speak` (Deepgram); the body is raw audio, without a container."""
    limits = request.app[CONTEXT].config.limits
    model, wanted = decode_speak_query(request.query)
    body = await read_body(request, max_bytes=limits.max_chat_body_bytes)
    text = decode_speak_body(body, limits=limits)
    return await _answer(request, model=model, voice="", text=text, wanted=wanted)


async def elevenlabs_speech(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/text-to-speech/{voice}/stream` (ElevenLabs)."""
    limits = request.app[CONTEXT].config.limits
    wanted = decode_output_format(request.query)
    body = await read_body(request, max_bytes=limits.max_chat_body_bytes)
    text, model = decode_stream_body(body, limits=limits)
    voice = request.match_info["voice"]
    return await _answer(request, model=model, voice=voice, text=text, wanted=wanted)
