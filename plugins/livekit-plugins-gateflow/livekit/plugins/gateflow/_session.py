"""What both transports of the realtime model share: the framework's side of a session."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Never

from livekit import rtc
from livekit.agents import APIError, llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits

from ._codec.audio import BYTES_PER_SAMPLE
from ._generation import Generation
from ._limits import RealtimeTimeouts
from .log import logger

REALTIME_LIMITS = Limits(json_bytes=1024 * 1024)
"""One event may carry half a second of audio in base64, 32 KiB; the bound leaves room."""


@dataclass(frozen=True, kw_only=True)
class RealtimeOptions:
    """Everything that shapes a pipeline."""

    template: str
    sample_rate: int
    members: Mapping[str, object]
    """``stt``, ``llm``, ``tts`` and ``vad``, as the gateway's documentation has them."""
    send_context: bool
    max_audio_s: float
    base_url: str
    keys: KeyRing
    timeouts: RealtimeTimeouts
    limits: Limits

    def bytes_of(self, seconds: float) -> int:
        """The size of that much audio, in whole samples."""
        return int(seconds * self.sample_rate) * BYTES_PER_SAMPLE


class RealtimeSession(llm.RealtimeSession[Never]):
    """What both transports share: the framework's side of a session."""

    def __init__(
        self, model: llm.RealtimeModel, opts: RealtimeOptions, *, faults: FaultLog
    ) -> None:
        super().__init__(model)
        self._opts = opts
        self._faults = faults
        self._context = ""
        self._chat_ctx = llm.ChatContext.empty()
        self._resampler: rtc.AudioResampler | None = None
        self._generation: Generation | None = None

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """The conversation as the framework last told it; the gateway is not told."""
        return self._chat_ctx.copy()

    @property
    def tools(self) -> llm.ToolContext:
        """None: the wire form has no tools."""
        return llm.ToolContext.empty()

    async def update_instructions(self, instructions: str) -> None:
        """Set the system prompt; an open socket has sent its own already."""
        self._context = instructions

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Note the conversation; the wire form has no place for it."""
        self._chat_ctx = chat_ctx.copy()

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Refuse tools, in the log: an agent that has some can still talk."""
        if tools:
            logger.warning("GateFlow pipelines have no tools: the agent's are not offered")

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """Nothing can be changed."""

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """Nothing looks at it."""

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        """The gateway cannot be told; capabilities say so."""

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Take some of the caller's audio, at any rate."""
        for piece in self._at_rate(frame):
            self._take_audio(piece)

    @abstractmethod
    def _take_audio(self, frame: rtc.AudioFrame) -> None:
        """Take audio at the gateway's rate."""

    def _at_rate(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        if frame.sample_rate == self._opts.sample_rate and frame.num_channels == 1:
            return [frame]
        if self._resampler is None:
            self._resampler = rtc.AudioResampler(
                frame.sample_rate, self._opts.sample_rate, num_channels=frame.num_channels
            )
        return self._resampler.push(frame)

    @staticmethod
    def _no_reply(reason: str) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """What `generate_reply` returns when there will be none."""
        created = asyncio.get_running_loop().create_future()
        created.set_exception(llm.RealtimeError(reason))
        return created

    def _end_generation(self) -> None:
        if self._generation is not None:
            self._generation.end()
            self._generation = None

    def _report(self, error: APIError, *, recoverable: bool) -> None:
        """Tell the framework of a failure; one that is not recoverable ends the session there."""
        self.emit(
            "error",
            llm.RealtimeModelError(
                timestamp=time.time(),
                label=self._realtime_model.label,
                error=error,
                recoverable=recoverable,
            ),
        )
