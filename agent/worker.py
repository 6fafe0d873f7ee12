"""The worker: registers with LiveKit, warms up, and gives each call a process of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from livekit.agents import AgentServer, JobContext, JobProcess
from livekit.agents.telemetry import loop_monitor
from livekit.agents.worker import ServerEnvOption

from .call import Call, Plugins, build_plugins
from .config import ConfigError, Settings, load_settings
from .phone.answer import answer
from .phone.line import is_phone, tuned
from .speech.phrases import PhraseCache
from .turns import load_vad

logger = logging.getLogger("parley.worker")

_VAD = "vad"
_PLUGINS = "plugins"
_BLOCKED_MS = "250"
"""An event loop that stands still so long is reported. The framework's 100 ms wake every process,
idle ones too, a hundred times a second: 0.4 CPU seconds a minute each."""
_FULL_LOAD = 0.7
"""The load at which a LiveKit server stops sending jobs to a worker (its default `target_load`)."""


def build_server(settings: Settings) -> AgentServer:
    """The worker process, not yet connected."""
    # Job processes inherit it.
    os.environ.setdefault(loop_monitor.ENV_WARN_THRESHOLD_MS, _BLOCKED_MS)
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
        process.userdata[_PLUGINS] = build_plugins(settings, detector)
    except ConfigError as e:
        logger.error("calls will be refused: %s", e)


async def run_call(ctx: JobContext) -> None:
    """Run one call from the first word to the hang-up."""
    settings = load_settings()
    ctx.log_context_fields = {"room": ctx.job.room.name}
    detector = ctx.proc.userdata[_VAD]
    kept: Plugins | None = ctx.proc.userdata.pop(_PLUGINS, None)
    plugins = kept or build_plugins(settings, detector)
    line = None
    if is_phone(settings, ctx.job.room.name):
        phrases = PhraseCache(folder=settings.phrases_path, voice=settings.tts)
        line = await answer(ctx, settings, plugins.voice, phrases)
        if line is None:
            return
        settings = tuned(settings, line)
    await Call(ctx=ctx, settings=settings, detector=detector, plugins=plugins, line=line).run()
