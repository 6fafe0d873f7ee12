"""The worker: registers with LiveKit, warms up, and runs one session for each call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from livekit.agents import (
    AgentServer,
    AgentSession,
    APIConnectOptions,
    CloseEvent,
    CloseReason,
    JobContext,
    JobProcess,
    STTContextOptions,
    TurnHandlingOptions,
    llm,
    room_io,
    stt,
    tts,
    vad,
)
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.room_io.types import TextInputCallback
from livekit.agents.worker import ServerEnvOption
from livekit.plugins import gateflow

from . import realtime
from .assistant import Assistant, CallState
from .config import ConfigError, Settings, load_settings, require_keys
from .ending import Ending
from .observe import metrics
from .observe.publish import Publisher
from .observe.record import TurnRecord
from .observe.transport import TransportEstimate
from .observe.waterfall import Waterfall
from .presence import Presence
from .providers import build_llm, build_realtime, build_stt, build_tts
from .speech.phrases import PhraseCache
from .speech.plain import without_markdown
from .tools.store import Store
from .turns import TurnDetector, load_vad, open_turn_model, turn_handling
from .wording import WordingAgent

logger = logging.getLogger("parley.worker")

_VAD = "vad"
_PLUGINS = "plugins"
_FULL_LOAD = 0.7
"""The load at which a LiveKit server stops sending jobs to a worker (its default `target_load`)."""

_CONNECT_OPTIONS = APIConnectOptions(max_retry=3, retry_interval=0.5, timeout=5.0)
"""The framework's own budget (4 attempts of 10 s) would be up to 44 s of silence in a phone
call."""

_UNRECOVERABLE_ERRORS = 1000
"""The framework would hang up without a word at its fourth error; `agent/guard` says goodbye."""

_INPUT_RATE = 16_000
"""What VAD, turn model and recognisers want. At the framework's 24 kHz each of them resamples every
frame for itself: a third of a call's CPU. A realtime model wants those 24."""
_REALTIME_RATE = 24_000


def build_server(settings: Settings) -> AgentServer:
    """The worker process, not yet connected."""
    server = AgentServer(
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret.get_secret_value(),
        setup_fnc=prewarm,
        preload_modules=["agent.cli", "agent.preload"],  # once for all calls, not once for each
        drain_timeout=settings.drain_timeout_s,
        port=ServerEnvOption(dev_default=0, prod_default=settings.health_port),
        load_fnc=_call_load(settings.max_calls) if settings.max_calls else None,
        prometheus_port=settings.metrics_port or None,
        prometheus_multiproc_dir=str(settings.metrics_path) if settings.metrics_port else None,
    )
    server.rtc_session(agent_name=settings.agent_name)(run_call)
    return server


def _call_load(max_calls: int) -> Callable[[AgentServer], float]:
    def load(server: AgentServer) -> float:
        return _FULL_LOAD * len(server.active_jobs) / max_calls

    return load


def prewarm(process: JobProcess) -> None:
    """Load what every call needs, once per job process, before a call arrives."""
    settings = load_settings()
    detector = process.userdata[_VAD] = load_vad(settings)
    try:
        process.userdata[_PLUGINS] = _plugins(settings, detector)
    except ConfigError as e:
        logger.error("calls will be refused: %s", e)


@dataclass(frozen=True)
class _Plugins:
    """What hears, thinks and speaks in a call, not yet connected."""

    ears: stt.STT[Any] | None
    model: llm.LLM[Any] | gateflow.RealtimeModel
    voice: tts.TTS[Any]


def _plugins(settings: Settings, detector: vad.VAD) -> _Plugins:
    """Ears, mind and voice, not yet connected; a process has one call, so they are used once.

    An HTTP client takes some 100 ms to read the system's certificates; in a call, that would be
    silence.

    Raises:
        ConfigError: A route cannot be used.
    """
    require_keys(settings)
    voice = build_tts(settings)
    if route := settings.realtime_route:
        realtime.require_usable(route, settings)
        ears = build_stt(settings, vad=detector) if route.transport == "websocket" else None
        return _Plugins(ears, build_realtime(route, settings, vad=detector), voice)
    return _Plugins(build_stt(settings, vad=detector), build_llm(settings), voice)


async def run_call(ctx: JobContext) -> None:
    """Run one call from the first word to the hang-up."""
    settings = load_settings()
    ctx.log_context_fields = {"room": ctx.room.name}
    detector = ctx.proc.userdata[_VAD]
    plugins: _Plugins = ctx.proc.userdata.pop(_PLUGINS, None) or _plugins(settings, detector)
    phrases = PhraseCache(folder=settings.phrases_path, voice=settings.tts)
    agent_of: Callable[..., WordingAgent]
    if isinstance(plugins.model, llm.LLM):
        turns = TurnDetector(
            settings=settings.turn, open_model=open_turn_model if settings.turn.turn_model else None
        )
        handling = turn_handling(settings.turn, turns, interruptible=settings.allow_interrupt)
        session = _session(ctx, settings, detector, plugins, handling)
        turns.watch(session)
        agent_of = partial(Assistant, model=plugins.model, turns=turns)
        typed, rate = _typed(settings.text_max_chars), _INPUT_RATE
    else:
        session = _session(ctx, settings, detector, plugins, realtime.turn_handling(settings))
        agent_of, typed = realtime.RealtimeAssistant, realtime.say_that_text_is_not_read
        rate = _REALTIME_RATE
    waterfall = Waterfall(
        session,
        lambda record: _tell_turn(record, publisher),
        transport=TransportEstimate(ctx.room),
    )
    assistant = agent_of(settings=settings, phrases=phrases, waterfall=waterfall)
    _close_plugins_after(session, ctx)
    _close_room_after(session, ctx)
    publisher = _tell_the_room(session, ctx, settings, assistant)
    await session.start(
        assistant,
        room=ctx.room,
        room_options=room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(
                sample_rate=rate, frame_size_ms=settings.turn.input_frame_ms
            ),
            text_input=room_io.TextInputOptions(text_input_cb=typed),
            close_on_disconnect=False,  # Presence decides
        ),
        # Whoever may send data could ask a session host for the instructions and the history.
        session_host=False,
    )
    _watch_the_caller(session, ctx, settings)


def _session(
    ctx: JobContext,
    settings: Settings,
    detector: vad.VAD,
    plugins: _Plugins,
    handling: TurnHandlingOptions,
) -> AgentSession[CallState]:
    """The session of a call, not yet started."""
    return AgentSession[CallState](
        userdata=CallState(
            call_id=ctx.job.room.sid or ctx.room.name,
            store=Store(settings.store_path),
            customer_email=settings.customer_email,
        ),
        stt=plugins.ears or NOT_GIVEN,
        llm=plugins.model,
        tts=plugins.voice,
        vad=detector,
        turn_handling=handling,
        stt_context_options=STTContextOptions(keyterms=settings.keyterms),
        aec_warmup_duration=settings.turn.aec_warmup_s or None,
        tts_text_transforms=[without_markdown, "filter_emoji"],
        conn_options=SessionConnectOptions(
            stt_conn_options=_CONNECT_OPTIONS,
            llm_conn_options=_CONNECT_OPTIONS,
            tts_conn_options=_CONNECT_OPTIONS,
            max_unrecoverable_errors=_UNRECOVERABLE_ERRORS,
        ),
    )


def _watch_the_caller(
    session: AgentSession[CallState], ctx: JobContext, settings: Settings
) -> None:
    """End the call when its caller has left, and not when only the line has."""

    def end(ending: Ending) -> None:
        session.userdata.ending = ending
        session.shutdown(drain=False)

    presence = Presence(
        room=ctx.room,
        session=session,
        end=end,
        wait_s=settings.caller_return_s,
        welcome_back=settings.welcome_back,
    )
    presence.start()
    session.on("close", lambda _: presence.stop())


def _tell_the_room(
    session: AgentSession[CallState], ctx: JobContext, settings: Settings, assistant: WordingAgent
) -> Publisher:
    """Send turns, tools and cost to the page."""
    publisher = Publisher(room=ctx.room, session=session, prices=settings.prices, reply=assistant)
    publisher.start()

    async def close_publisher() -> None:
        await publisher.aclose()

    ctx.add_shutdown_callback(close_publisher)
    return publisher


def _tell_turn(record: TurnRecord, publisher: Publisher) -> None:
    metrics.observe_turn(record)
    publisher.turn(record)


def _typed(max_chars: int) -> TextInputCallback:
    """Typed words are a turn like spoken ones; what a flood is of them is cut off."""

    async def take(session: AgentSession[CallState], event: room_io.TextInputEvent) -> None:
        if text := event.text.strip()[:max_chars]:
            await session.interrupt(force=True)
            _ = session.generate_reply(user_input=text)

    return take


def _close_plugins_after(session: AgentSession[CallState], ctx: JobContext) -> None:
    """Close what plugins keep open beside the streams of a call: warm sockets, HTTP connections."""

    async def close_plugins() -> None:
        for plugin in (session.stt, session.llm, session.tts):
            if isinstance(plugin, stt.STT | llm.LLM | llm.RealtimeModel | tts.TTS):
                await plugin.aclose()

    ctx.add_shutdown_callback(close_plugins)


def _close_room_after(session: AgentSession[CallState], ctx: JobContext) -> None:
    """Hang up for good: a session that the agent ended takes its room with it."""

    async def delete_room() -> None:
        await ctx.delete_room()

    def on_close(event: CloseEvent) -> None:
        reason = (session.userdata.ending or event.reason).value
        logger.info("call ended", extra={"reason": reason})
        metrics.CALLS_OPEN.dec()
        metrics.CALLS.labels(reason).inc()
        if event.reason in (CloseReason.USER_INITIATED, CloseReason.ERROR):
            ctx.add_shutdown_callback(delete_room)
        ctx.shutdown(reason=reason)

    metrics.CALLS_OPEN.inc()
    session.on("close", on_close)
