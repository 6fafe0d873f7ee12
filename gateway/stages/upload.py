"""Speech to text of whole recordings: one upload, one answer, at once or as it is found."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from aiohttp import BodyPartReader, web

from gateway.config import STT_SAMPLE_RATE_HZ, Limits
from gateway.engines.base import SpeechStarted, SttEngine, SttSession
from gateway.errors import ProtocolError
from gateway.speech.pcm import BYTES_PER_SAMPLE, Resampler, slices, to_pcm, to_samples
from gateway.stages.body import counted, send_all
from gateway.stages.context import CONTEXT, read_body
from gateway.stages.outlet import Outgoing
from gateway.wire.aigateway import SttOptions, Transcript
from gateway.wire.deepgram import decode_listen_query, encode_listen_result
from gateway.wire.gateflow import encode_transcription
from gateway.wire.wav import decode_wav

LINES = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-cache"}
"""Headers of an answer in lines of JSON."""

_MAX_FIELD_BYTES = 1_000
"""A form field that is not the recording, such as the model's name."""
_FEED_BYTES = 3_200
"""Audio given to the recogniser at a time: 100 ms."""


async def _read_part(part: BodyPartReader, *, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_size=max_bytes, actual_size=len(data))
    return bytes(data)


@dataclass
class _Upload:
    model: str = ""
    recording: bytes | None = None
    stream: bool = False
    verbose: bool = False


async def _read_upload(request: web.Request, limits: Limits) -> _Upload:
    """Read the form; fields not known here are ignored."""
    upload = _Upload()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ProtocolError("nested multipart bodies are not accepted")
            if part.name == "file":
                upload.recording = await _read_part(part, max_bytes=limits.max_upload_bytes)
            elif part.name in ("model", "stream", "response_format"):
                data = await _read_part(part, max_bytes=_MAX_FIELD_BYTES)
                _set_field(upload, part.name, data.decode("utf-8", "replace"))
            else:
                await part.release()
    except ValueError:  # aiohttp's verdict on a malformed body
        raise ProtocolError("the body is not multipart/form-data") from None
    if upload.recording is None or not upload.model:
        raise ProtocolError("the fields 'file' and 'model' are needed")
    return upload


def _set_field(upload: _Upload, name: str, value: str) -> None:
    if name == "model":
        upload.model = value
    elif name == "stream":
        upload.stream = value.lower() == "true"
    else:
        upload.verbose = value == "verbose_json"


def to_stt_audio(data: bytes, *, max_audio_s: float) -> bytes:
    """Decode a WAV file to what recognisers take. Blocking: for a thread.

    Raises:
        ProtocolError: if it is not one, or too long.
    """
    recording = decode_wav(data, max_audio_s=max_audio_s)
    samples = to_samples(recording.pcm).reshape(-1, recording.channels).mean(axis=1)
    resampler = Resampler(from_hz=recording.sample_rate_hz, to_hz=STT_SAMPLE_RATE_HZ)
    return to_pcm(np.concatenate((resampler.push(samples), resampler.flush())))


async def read_recording(data: bytes, limits: Limits) -> bytes:
    """Decode a WAV file without holding up anybody else; raises as `to_stt_audio` does."""
    return await asyncio.to_thread(to_stt_audio, data, max_audio_s=limits.max_batch_audio_s)


async def recognise(engine: SttEngine, model: str, pcm: bytes) -> AsyncGenerator[Transcript]:
    """Recognise a whole recording; tell partials and finals whose text is all that was said."""
    session = engine.open(SttOptions(model=model), words=False)
    feeding = asyncio.create_task(_feed(session, pcm), name="stt-feed")
    said: list[str] = []
    try:
        async for event in session.events():
            if isinstance(event, SpeechStarted):
                continue
            text = " ".join([*said, event.text])
            if event.is_final:
                said.append(event.text)
            yield Transcript(text=text, is_final=False)
        await feeding
    finally:
        feeding.cancel()
        try:
            await asyncio.gather(feeding, return_exceptions=True)
        finally:  # a client that leaves cancels this clean-up too
            await session.aclose()
    yield Transcript(text=" ".join(said), is_final=True)


async def _feed(session: SttSession, pcm: bytes) -> None:
    for piece in slices(pcm, size=_FEED_BYTES):
        await session.push(piece)
        await asyncio.sleep(0)  # a long recording must not hold up everybody else
    session.end_input()


async def _lines(transcripts: AsyncGenerator[Transcript]) -> AsyncGenerator[Outgoing]:
    async with aclosing(transcripts):
        async for transcript in transcripts:
            line = encode_transcription(transcript.text, is_final=transcript.is_final)
            words = len(transcript.text.split())
            yield Outgoing(data=line, words=words, is_final=transcript.is_final)


async def stt_upload(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/audio/transcriptions`: whole, or as GateFlow's lines of partials."""
    context = request.app[CONTEXT]
    if not request.content_type.startswith("multipart/"):
        raise ProtocolError("the body must be multipart/form-data")
    with context.stats.call("stt") as call, counted(call):
        upload = await _read_upload(request, context.config.limits)
        assert upload.recording is not None
        engine = await context.engines.stt(upload.model)
        pcm = await read_recording(upload.recording, context.config.limits)
        if upload.stream:
            response = web.StreamResponse(headers=LINES)
            events = _lines(recognise(engine, upload.model, pcm))
            return await send_all(request, response, events, call)
        text = await engine.transcribe(pcm)
        if not upload.verbose:
            return web.json_response({"text": text})
        duration_s = len(pcm) / (BYTES_PER_SAMPLE * STT_SAMPLE_RATE_HZ)
        return web.json_response(
            {"task": "transcribe", "language": "english", "duration": duration_s, "text": text}
        )


async def deepgram_upload(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/listen` (Deepgram) with a WAV file as its body."""
    context = request.app[CONTEXT]
    limits = context.config.limits
    options = decode_listen_query(request.query)
    with context.stats.call("stt") as call, counted(call):
        body = await read_body(request, max_bytes=limits.max_upload_bytes)
        engine = await context.engines.stt(options.model)
        pcm = await read_recording(body, limits)
        text = await engine.transcribe(pcm)
        duration_s = len(pcm) / (BYTES_PER_SAMPLE * STT_SAMPLE_RATE_HZ)
        return web.json_response(
            encode_listen_result(text, duration_s=duration_s, request_id=str(uuid.uuid4()))
        )
