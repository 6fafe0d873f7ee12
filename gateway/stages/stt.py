"""Speech to text: the streaming socket and the upload of whole recordings."""

from __future__ import annotations

import asyncio
import logging
import uuid

import numpy as np
from aiohttp import BodyPartReader, WSMsgType, web

from gateway.config import STT_SAMPLE_RATE_HZ, Limits
from gateway.engines.base import SpeechStarted, SttSession
from gateway.errors import ProtocolError
from gateway.speech.pcm import Resampler, to_pcm, to_samples
from gateway.stages.context import (
    CONTEXT,
    INTERNAL_ERROR,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    Context,
    first_done,
    open_socket,
    outcome_of,
)
from gateway.stats import Call, Outcome
from gateway.wire.aigateway import (
    SttControl,
    decode_stt_query,
    decode_stt_text,
    encode_error,
    encode_speech_started,
    encode_stt_metadata,
    encode_transcript,
)
from gateway.wire.wav import decode_wav

logger = logging.getLogger("gateway.stt")


class SttStream:
    """One socket: audio in, transcripts out."""

    def __init__(
        self, socket: web.WebSocketResponse, session: SttSession, *, context: Context
    ) -> None:
        self._socket = socket
        self._session = session
        self._limits: Limits = context.config.limits
        self._extended = context.config.extended
        self._request_id = str(uuid.uuid4())

    async def run(self, call: Call) -> None:
        """Serve until the client leaves or asks for the end of the stream."""
        receiver = asyncio.create_task(self._receive(call), name="stt-receive")
        sender = asyncio.create_task(self._send(call), name="stt-send")
        try:
            await first_done(receiver, sender)
        except ProtocolError as error:
            call.outcome = Outcome.ERRORS
            await self._fail(str(error), code="invalid_message", close_code=POLICY_VIOLATION)
        except ConnectionError:
            call.outcome = self._left_by_client()
        except asyncio.CancelledError:  # the connection was lost
            call.outcome = self._left_by_client()
            raise
        except Exception:
            call.outcome = Outcome.ERRORS
            logger.exception("speech to text failed")
            await self._fail(
                "the recogniser failed", code="engine_error", close_code=INTERNAL_ERROR
            )
        finally:
            await self._session.aclose()

    def _left_by_client(self) -> Outcome:
        return outcome_of(self._socket, owed=self._session.in_utterance)

    async def _receive(self, call: Call) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._session.push(message.data)
            elif message.type is WSMsgType.TEXT:
                control = decode_stt_text(message.data, limits=self._limits)
                if control is SttControl.FINALIZE:
                    self._session.finalize()
                elif control is SttControl.CLOSE_STREAM:
                    self._session.end_input()
        call.outcome = self._left_by_client()

    async def _send(self, call: Call) -> None:
        async for event in self._session.events():
            if not isinstance(event, SpeechStarted):
                await self._socket.send_str(
                    encode_transcript(event, extended=self._extended, request_id=self._request_id)
                )
            elif self._extended:
                await self._socket.send_str(encode_speech_started(event.at_s))
        call.outcome = Outcome.COMPLETED
        if self._extended:
            await self._socket.send_str(
                encode_stt_metadata(request_id=self._request_id, duration_s=self._session.audio_s)
            )
        await self._socket.close(code=NORMAL_CLOSURE)

    async def _fail(self, message: str, *, code: str, close_code: int) -> None:
        if self._extended and not self._socket.closed:
            await self._socket.send_str(encode_error(message, code=code))
        await self._socket.close(code=close_code, message=message.encode()[:120])


async def stt_stream(request: web.Request) -> web.StreamResponse:
    """Answer `WS /v1/audio/transcriptions/stream`."""
    context = request.app[CONTEXT]
    options = decode_stt_query(request.query)
    engine = await context.engines.stt(options.model)
    socket = await open_socket(
        request, context, max_message_bytes=context.config.limits.max_audio_frame_bytes
    )
    with context.stats.call("stt") as call, context.tracked(socket):
        session = engine.open(options, words=context.config.extended)
        await SttStream(socket, session, context=context).run(call)
    return socket


async def _read_upload(request: web.Request, limits: Limits) -> tuple[str, bytes]:
    model = ""
    recording: bytes | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise ProtocolError("nested multipart bodies are not accepted")
        if part.name == "file":
            recording = bytes(await part.read(decode=False))
        elif part.name == "model":
            model = (await part.read(decode=False)).decode("utf-8", "replace")
        else:
            await part.release()
    if recording is None or not model:
        raise ProtocolError("the fields 'file' and 'model' are needed")
    if len(recording) > limits.max_upload_bytes:
        raise ProtocolError(f"the file is longer than {limits.max_upload_bytes} bytes")
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
