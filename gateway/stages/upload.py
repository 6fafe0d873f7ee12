"""Speech to text of whole recordings: one upload, one answer."""

from __future__ import annotations

import asyncio

import numpy as np
from aiohttp import BodyPartReader, web

from gateway.config import STT_SAMPLE_RATE_HZ, Limits
from gateway.errors import ProtocolError
from gateway.speech.pcm import Resampler, to_pcm, to_samples
from gateway.stages.context import CONTEXT
from gateway.stats import Outcome
from gateway.wire.wav import decode_wav

_MAX_FIELD_BYTES = 1_000
"""A form field that is not the recording, such as the model's name."""


async def _read_part(part: BodyPartReader, *, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_size=max_bytes, actual_size=len(data))
    return bytes(data)


async def _read_upload(request: web.Request, limits: Limits) -> tuple[str, bytes]:
    """Return the model and the recording; fields not known here are ignored."""
    model = ""
    recording: bytes | None = None
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ProtocolError("nested multipart bodies are not accepted")
            if part.name == "file":
                recording = await _read_part(part, max_bytes=limits.max_upload_bytes)
            elif part.name == "model":
                name = await _read_part(part, max_bytes=_MAX_FIELD_BYTES)
                model = name.decode("utf-8", "replace")
            else:
                await part.release()
    except ValueError:  # aiohttp's verdict on a malformed body
        raise ProtocolError("the body is not multipart/form-data") from None
    if recording is None or not model:
        raise ProtocolError("the fields 'file' and 'model' are needed")
    return model, recording


def _as_stt_audio(data: bytes, *, max_audio_s: float) -> bytes:
    recording = decode_wav(data, max_audio_s=max_audio_s)
    samples = to_samples(recording.pcm).reshape(-1, recording.channels).mean(axis=1)
    resampler = Resampler(from_hz=recording.sample_rate_hz, to_hz=STT_SAMPLE_RATE_HZ)
    return to_pcm(np.concatenate((resampler.push(samples), resampler.flush())))


async def stt_upload(request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/audio/transcriptions`."""
    context = request.app[CONTEXT]
    if not request.content_type.startswith("multipart/"):
        raise ProtocolError("the body must be multipart/form-data")
    with context.stats.call("stt") as call:
        try:
            limits = context.config.limits
            model, recording = await _read_upload(request, limits)
            engine = await context.engines.stt(model)
            pcm = await asyncio.to_thread(
                _as_stt_audio, recording, max_audio_s=limits.max_batch_audio_s
            )
            text = await engine.transcribe(pcm)
        except asyncio.CancelledError:
            call.outcome = Outcome.CLOSED_BY_CLIENT
            raise
        call.outcome = Outcome.COMPLETED
    return web.json_response({"text": text})
