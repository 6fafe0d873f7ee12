"""The gateway's whole pipeline as a LiveKit realtime model, over one of two transports.

What the wire form cannot do, whatever the transport: tools, text input, instructions for one reply,
``say``, a changed history, and truncation of what was said. Give the session a ``tts`` for
``say``, and use the three single stages where tools are needed.

``websocket``: the gateway finds the caller's turns and begins to answer by itself. Nothing on the
wire says that the caller has begun to speak or what was said, so a detector on this side
interrupts, and the session needs an ``stt`` if it wants the caller's words. A reply has no end
marker: silence ends it. Nothing asks for a reply either: ``generate_reply`` fails.

``pipeline``: one request a turn, which the session's own turn detection ends. The caller's words
come back. Requests know nothing of each other: the gateway answers each as if it were the first,
unless ``send_context=True`` sends the instructions along in a member that is documented for the
socket only.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping

import aiohttp
from livekit.agents import inference, llm, utils, vad
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.url import resolve_base_url, resolve_keys

from ._account import ACCOUNT
from ._limits import RealtimeTimeouts
from ._pipeline import PipelineSession
from ._session import REALTIME_LIMITS, RealtimeOptions, RealtimeSession
from ._socket import SocketSession
from .models import Templates, Transports


class RealtimeModel(llm.RealtimeModel):
    """GateFlow's pipelines as a realtime model.

    The wire form has no tools, no text input, no instructions for one reply, no ``say``, no history
    that can be changed and no truncation, whatever the transport. ``generate_reply`` fails on a
    ``websocket``, where replies come by themselves when the caller has spoken, and a ``pipeline``
    answers each turn as if it were the first. An agent that needs any of it takes ``STT``, ``LLM``
    and ``TTS``. The module's docstring says more of each transport.

    A turn that fails is reported as a recoverable error. One that is not recoverable (a refused
    key, an unknown template, a socket that cannot be had back) ends the framework's session at
    once; an application that wants to say goodbye first sets ``recoverable`` on the error event.
    """

    def __init__(
        self,
        *,
        transport: Transports = "websocket",
        template: Templates | str = "voice-agent-fast",
        stt: Mapping[str, object] | None = None,
        llm: Mapping[str, object] | None = None,
        tts: Mapping[str, object] | None = None,
        vad_options: Mapping[str, object] | None = None,
        vad: vad.VAD | None = None,
        send_context: bool = False,
        sample_rate: int = 24000,
        max_audio_s: float = 30.0,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        timeouts: RealtimeTimeouts = RealtimeTimeouts(),  # noqa: B008  # frozen
        limits: Limits = REALTIME_LIMITS,
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of GateFlow's realtime model.

        Args:
            transport: ``websocket`` or ``pipeline``; see the module.
            template: Name of the pipeline.
            stt: Options of its recogniser, for example ``{"model": "voxtral-mini-latest"}``.
            llm: Options of its language model, for example ``{"max_tokens": 100}``.
            tts: Options of its voice, for example ``{"model": "eleven_turbo_v2_5"}``.
            vad_options: Options of its detector, for example
                ``{"enabled": True, "silence_threshold_ms": 500}``.
            vad: Notices on this side that the caller interrupts (websocket). Defaults to LiveKit's
                local Silero.
            send_context: Send the instructions with every pipeline request.
            sample_rate: Hz of the audio both ways: 24000, the only rate that is documented.
            max_audio_s: Longest turn of the caller (pipeline), and longest audio kept while a lost
                socket is replaced; what is older is dropped.
            base_url: Defaults to ``GATEFLOW_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``GATEFLOW_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            timeouts: Every wait.
            limits: Every size.
            http_session: Defaults to the job's session.

        Raises:
            ValueError: There is no key, or an argument is out of range.
        """
        if transport not in ("websocket", "pipeline"):
            raise ValueError(f"transport must be websocket or pipeline, got {transport!r}")
        if not 8000 <= sample_rate <= 48000:
            raise ValueError(f"sample_rate must be 8000 to 48000 Hz, got {sample_rate}")
        on_socket = transport == "websocket"
        super().__init__(capabilities=_capabilities(on_socket=on_socket))
        named = {"stt": stt, "llm": llm, "tts": tts, "vad": vad_options}
        self._opts = RealtimeOptions(
            template=template,
            sample_rate=sample_rate,
            members={name: dict(value) for name, value in named.items() if value is not None},
            send_context=send_context,
            max_audio_s=max_audio_s,
            base_url=resolve_base_url(base_url, ACCOUNT),
            keys=resolve_keys(api_key, ACCOUNT),
            timeouts=timeouts,
            limits=limits,
        )
        self.faults = FaultLog(stage="realtime", provider=self.provider)
        """The faults that sessions have met, healed ones included."""
        self._transport = transport
        self._vad = vad
        self._session = http_session
        self._sessions = weakref.WeakSet[RealtimeSession]()

    @property
    def model(self) -> str:
        """The template's name."""
        return self._opts.template

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return ACCOUNT.name

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        """Open a session; it connects when audio first comes."""
        http = self._ensure_session()
        session: RealtimeSession
        if self._transport == "pipeline":
            session = PipelineSession(self, self._opts, faults=self.faults, http=http)
        else:
            detector = self._vad or inference.VAD(model="silero")
            session = SocketSession(
                self, self._opts, faults=self.faults, http=http, detector=detector
            )
        self._sessions.add(session)
        return session

    async def aclose(self) -> None:
        """Close every session."""
        for session in list(self._sessions):
            await session.aclose()
        self._sessions.clear()

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session


def _capabilities(*, on_socket: bool) -> llm.RealtimeCapabilities:
    return llm.RealtimeCapabilities(
        message_truncation=False,
        turn_detection=on_socket,
        user_transcription=not on_socket,
        auto_tool_reply_generation=False,
        audio_output=True,
        manual_function_calls=False,
    )
