"""Settings to plugins: each stage's chain of routes becomes an STT, LLM or TTS with fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from livekit.agents import llm, stt, tts, vad
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import aigateway, gateflow
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits

from . import vendors
from .chain.health import HealthBoard, LocalBoard
from .chain.llm import ChainLLM
from .chain.race import Starter, in_turn
from .chain.route import BreakerLimits, ChainRoute, Hold, P, Stage
from .chain.stt import ChainSTT
from .chain.tts import ChainTTS
from .config import ConfigError, Settings, TurnSettings
from .keyrings import key_ring
from .observe import metrics
from .routes import RealtimeRoute, Route
from .words import Outlook, outlook

_AIGATEWAY_VOICE = "rachel"  # what the gateways' own documents use
_GATEFLOW_VOICE = "friendly"


def build_stt(settings: Settings, *, vad: vad.VAD, board: HealthBoard | None = None) -> ChainSTT:
    """The speech-to-text chain.

    Args:
        settings: The worker's settings.
        vad: Segments the audio for providers that do not stream.
        board: Where workers tell each other of routes that are down.

    Raises:
        ConfigError: A route names a provider that cannot transcribe.
    """
    routes = _chained("stt", settings.stt_routes, partial(make_stt, vad=vad), settings, board)
    return ChainSTT(routes, vad=vad, waits=settings.chain)


def build_llm(
    settings: Settings, *, board: HealthBoard | None = None, starter: Starter = in_turn
) -> ChainLLM:
    """The language model chain.

    Args:
        settings: The worker's settings.
        board: Where workers tell each other of routes that are down.
        starter: How the routes of a request are started.

    Raises:
        ConfigError: A route names a provider that serves no language model.
    """
    routes = _chained("llm", settings.llm_routes, make_llm, settings, board)
    return ChainLLM(routes, waits=settings.chain, starter=starter)


def build_tts(settings: Settings, *, board: HealthBoard | None = None) -> ChainTTS:
    """The text-to-speech chain.

    Args:
        settings: The worker's settings.
        board: Where workers tell each other of routes that are down.

    Raises:
        ConfigError: A route names a provider that cannot speak.
    """
    routes = _chained("tts", settings.tts_routes, make_tts, settings, board)
    return ChainTTS(routes, waits=settings.chain)


def build_realtime(
    route: RealtimeRoute, settings: Settings, *, vad: vad.VAD
) -> gateflow.RealtimeModel:
    """The realtime model; `vad` notices interruptions where the provider does not tell them.

    Routes of the same provider in the chains choose its pipeline's models.
    """
    model = gateflow.RealtimeModel(
        transport="pipeline" if route.transport == "pipeline" else "websocket",
        template=route.template,
        stt=_member(settings.stt_routes, route),
        llm=_member(settings.llm_routes, route, max_tokens=settings.llm_max_tokens),
        tts=_member(settings.tts_routes, route),
        vad=vad,
        base_url=settings.gateflow_base_url,
        api_key=key_ring("gateflow", settings),
    )
    metrics.watch_faults([model])
    return model


def _member(
    chain: Sequence[Route], realtime: RealtimeRoute, **limits: int
) -> dict[str, object] | None:
    """What a pipeline is told of one stage; None leaves it to its template."""
    chosen: dict[str, object] = {name: limit for name, limit in limits.items() if limit}
    if chain[0].provider == realtime.provider:
        chosen["model"] = chain[0].model
        if chain[0].voice:
            chosen["voice"] = chain[0].voice
    return chosen or None


def _chained(
    stage: Stage,
    routes: Sequence[Route],
    make: Callable[[Route, Settings], P],
    settings: Settings,
    board: HealthBoard | None,
) -> list[ChainRoute[P]]:
    guard, waits = settings.guard, settings.chain
    limits = BreakerLimits(failures=guard.breaker_failures, cooldown_s=guard.breaker_cooldown_s)
    board = board or LocalBoard()
    chain = [
        ChainRoute(
            stage=stage,
            name=str(route),
            plugin=make(route, settings),
            board=board,
            limits=limits,
            hold=Hold(first_s=waits.probe_after_s, longest_s=waits.probe_longest_s),
        )
        for route in routes
    ]
    metrics.watch_faults(route.plugin for route in chain)
    return chain


def _gateway(route: Route, settings: Settings) -> tuple[str, str, KeyRing]:
    """The model slug, base URL and keys of a route that speaks AIgateway's wire form."""
    if route.provider == "local":
        return route.slug, settings.local_gateway_url, key_ring(route.provider, settings)
    return route.slug, settings.aigateway_base_url, key_ring(route.provider, settings)


def make_stt(route: Route, settings: Settings, *, vad: vad.VAD) -> stt.STT[Any]:
    """One recogniser; with others behind it, it is waited for as a chain can afford to.

    Raises:
        ConfigError: The provider cannot transcribe.
    """
    if route.provider in ("aigateway", "local"):
        model, base_url, api_key = _gateway(route, settings)
        if settings.aigateway_stt_encoding == "opus" and settings.aigateway_dialect != "deepgram":
            raise ConfigError(
                "AIGATEWAY_STT_ENCODING=opus needs AIGATEWAY_DIALECT=deepgram: the other dialect "
                "has no words for it."
            )
        return aigateway.STT(
            model=model,
            base_url=base_url,
            api_key=api_key,
            language=settings.language,
            encoding=settings.aigateway_stt_encoding,
            dialect=settings.aigateway_dialect,
            preflight=_preflight(settings.turn),
            timeouts=_hearing_waits(settings),
        )
    if route.provider == "gateflow":
        return gateflow.STT(
            model=route.model,
            language=settings.language,
            base_url=settings.gateflow_base_url,
            api_key=key_ring("gateflow", settings),
            vad=vad,
        )
    if engine := vendors.build_stt(route, settings):
        return engine
    raise ConfigError(f"AGENT_STT: {route.provider} offers no speech-to-text here")


def _hearing_waits(settings: Settings) -> aigateway.STTTimeouts:
    if len(settings.stt_routes) == 1:
        return aigateway.STTTimeouts()
    return aigateway.STTTimeouts(silence_watchdog_s=settings.chain.no_words_s)


def _speaking_waits(settings: Settings) -> dict[str, float]:
    if len(settings.tts_routes) == 1:
        return {}
    waits = settings.chain
    return {"first_audio_s": waits.first_audio_s, "inter_chunk_s": waits.stall_s}


def _speaking_limits(settings: Settings) -> Limits:
    """One more socket keeps the voice; a gateway that loses that one too is left."""
    return Limits() if len(settings.tts_routes) == 1 else Limits(resumes=1)


def _preflight(turn: TurnSettings) -> aigateway.SettlePolicy:
    """When a partial is worth a reply ahead of the turn's end."""
    return aigateway.SettlePolicy(
        settle_ms=turn.settle_s * 1000,
        silence_ms=turn.settle_silence_s * 1000,
        finished_silence_ms=turn.settle_finished_s * 1000,
        ending=_ending,
    )


def _ending(text: str) -> aigateway.Ending:
    match outlook(text):
        case Outlook.FINISHED:
            return "finished"
        case Outlook.OPEN:
            return "open"
        case Outlook.UNFINISHED | Outlook.DICTATING:
            return "unfinished"


def make_llm(route: Route, settings: Settings) -> llm.LLM[Any]:
    """One language model.

    Raises:
        ConfigError: The provider serves none.
    """
    longest = settings.llm_max_tokens or NOT_GIVEN
    if route.provider in ("aigateway", "local"):
        model, base_url, api_key = _gateway(route, settings)
        return aigateway.LLM(
            model=model,
            base_url=base_url,
            api_key=api_key,
            max_completion_tokens=longest,
            store_transcript=settings.aigateway_store_transcript,
        )
    if route.provider == "gateflow":
        return gateflow.LLM(
            model=route.model,
            max_completion_tokens=longest,
            base_url=settings.gateflow_base_url,
            api_key=key_ring("gateflow", settings),
        )
    if engine := vendors.build_llm(route, settings):
        return engine
    raise ConfigError(f"AGENT_LLM: {route.provider} offers no language model here")


def make_tts(route: Route, settings: Settings) -> tts.TTS[Any]:
    """One voice; with others behind it, it is waited for as a chain can afford to.

    Raises:
        ConfigError: The provider cannot speak.
    """
    if route.provider in ("aigateway", "local"):
        model, base_url, api_key = _gateway(route, settings)
        voice = route.voice or _AIGATEWAY_VOICE
        return aigateway.TTS(
            model=model,
            voice=voice,
            base_url=base_url,
            api_key=api_key,
            timeouts=aigateway.TTSTimeouts(**_speaking_waits(settings)),
            limits=_speaking_limits(settings),
        )
    if route.provider == "gateflow":
        return gateflow.TTS(
            model=route.model,
            voice=route.voice or _GATEFLOW_VOICE,
            base_url=settings.gateflow_base_url,
            api_key=key_ring("gateflow", settings),
            timeouts=gateflow.TTSTimeouts(**_speaking_waits(settings)),
            limits=_speaking_limits(settings),
        )
    if engine := vendors.build_tts(route, settings):
        return engine
    raise ConfigError(f"AGENT_TTS: {route.provider} offers no voice here")
