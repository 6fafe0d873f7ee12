"""The gateway's speech sockets for Pipecat, as services for it are written.

They follow Pipecat's own services for Deepgram and Neuphonic. The language model needs none:
Pipecat's `OpenAILLMService` takes a base URL. All of this runs in the peers' environment, which has
nothing of Parley in it.
"""

# The peers' environment is not the one that types are checked in, so all of Pipecat is `Any` here.
# mypy: disable-error-code="import-not-found, misc, untyped-decorator"

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import WebsocketSTTService
from pipecat.services.tts_service import InterruptibleTTSService
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner
from websockets.protocol import State

GATEWAY = os.environ["BENCH_GATEWAY"]  # http://host:port/v1
_AUDIO = GATEWAY.replace("http://", "ws://") + "/audio"
_STT_URL = f"{_AUDIO}/transcriptions/stream?model=sim/stt&vad_events=true"
_TTS_URL = f"{_AUDIO}/speech/stream?model=sim/tts"
_DEEPGRAM_TTFS_P99_S = 0.35
"""What Pipecat has measured for Deepgram (pipecat/services/stt_latency.py); its default, for
services that nobody has measured, is 1.0."""


class _Socket:
    """What both services do with their WebSocket."""

    _url: str
    _websocket: Any
    _receive_task: Any = None

    async def setup(self: Any, setup: Any) -> None:
        """Connect when the pipeline is set up."""
        await super().setup(setup)
        await self._connect()

    async def _connect(self: Any) -> None:
        await super()._connect()
        await self._connect_websocket()
        if self._websocket and not self._receive_task:
            self._receive_task = self.create_task(self._receive_task_handler(self._report_error))

    async def _disconnect(self: Any) -> None:
        await super()._disconnect()
        if self._receive_task:
            await self.cancel_task(self._receive_task)
            self._receive_task = None
        await self._disconnect_websocket()

    async def _connect_websocket(self: Any) -> None:
        if not self._websocket or self._websocket.state is not State.OPEN:
            self._websocket = await self._websocket_connect(self._url)

    async def _disconnect_websocket(self: Any) -> None:
        if self._websocket:
            await self._websocket.close()
            self._websocket = None


class GatewaySTTService(_Socket, WebsocketSTTService):
    """Speech to text; with `owns_turns`, the recogniser's endpoint is the end of the turn."""

    def __init__(self, *, owns_turns: bool = False) -> None:
        super().__init__(
            ttfs_p99_latency=_DEEPGRAM_TTFS_P99_S,
            settings=STTSettings(model="sim/stt", language=None),
        )
        self._url = _STT_URL
        self._owns_turns = owns_turns

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Send audio; what was heard comes by the socket."""
        if self._websocket and self._websocket.state is State.OPEN:
            await self._websocket.send(audio)
        yield None

    async def _receive_messages(self) -> None:
        async for message in self._websocket:
            event = json.loads(message)
            if event["type"] == "SpeechStarted" and self._owns_turns:
                await self.broadcast_frame(ProposedUserStartedSpeakingFrame)
            elif event["type"] == "Results":
                await self._heard(event)

    async def _heard(self, event: dict[str, Any]) -> None:
        text = event["channel"]["alternatives"][0]["transcript"]
        kind = TranscriptionFrame if event["is_final"] else InterimTranscriptionFrame
        if text:
            await self.push_frame(kind(text, self._user_id, time_now_iso8601()))
        if event["speech_final"] and self._owns_turns:
            await self.broadcast_frame(ProposedUserStoppedSpeakingFrame)


class GatewayTTSService(_Socket, InterruptibleTTSService):
    """Text to speech. The wire has no cancel, so an interruption takes a new socket."""

    def __init__(self) -> None:
        super().__init__(
            push_stop_frames=True,
            push_start_frame=True,
            pause_frame_processing=True,
            sample_rate=24_000,
            settings=TTSSettings(model="sim/tts", voice="sim", language=None),
        )
        self._url = _TTS_URL

    async def _receive_messages(self) -> None:
        async for message in self._websocket:
            if isinstance(message, bytes):
                context_id = self.get_active_audio_context_id()
                frame = TTSAudioRawFrame(message, self.sample_rate, 1, context_id=context_id)
                await self.append_to_audio_context(context_id, frame)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Send a sentence; its audio comes by the socket."""
        if not self._websocket or self._websocket.state is not State.OPEN:
            await self._connect()
        try:
            await self._websocket.send(json.dumps({"text": text}))
            yield None
        except Exception as e:
            yield ErrorFrame(error=str(e))


async def run(
    *, stt: GatewaySTTService, user: LLMUserAggregatorParams, transport: dict[str, Any]
) -> None:
    """Join the room and hold one call.

    Args:
        stt: Speech to text.
        user: When the caller's turns begin and end.
        transport: Settings of the LiveKit transport beside the obvious ones.
    """
    logger.remove()
    logger.add(sys.stderr, level="INFO")
    livekit = LiveKitTransport(
        url=os.environ["LIVEKIT_URL"],
        token=os.environ["BENCH_TOKEN"],
        room_name=os.environ["BENCH_ROOM"],
        params=LiveKitParams(audio_in_enabled=True, audio_out_enabled=True, **transport),
    )
    llm = OpenAILLMService(
        api_key="none",
        base_url=GATEWAY,
        settings=OpenAILLMService.Settings(
            model="sim/llm", system_instruction="You are a helpful voice assistant."
        ),
    )
    aggregators = LLMContextAggregatorPair(LLMContext(), user_params=user)
    worker = PipelineWorker(
        Pipeline(
            [
                livekit.input(),
                stt,
                aggregators.user(),
                llm,
                GatewayTTSService(),
                livekit.output(),
                aggregators.assistant(),
            ]
        ),
        params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
    )

    @livekit.event_handler("on_connected")
    async def connected(_: LiveKitTransport) -> None:
        print("bench: ready", flush=True)

    @livekit.event_handler("on_participant_disconnected")
    async def left(_: LiveKitTransport, __: str) -> None:
        await worker.cancel()

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()
