"""Settings to plugins: each stage's chain of routes becomes an STT, LLM or TTS with fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from livekit.agents import llm, stt, tts, vad
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import aigateway, gateflow

from . import vendors
from .config import ConfigError, Settings, TurnSettings, revealed
from .observe import metrics
from .routes import RealtimeRoute, Route
from .words import Outlook, outlook

_T = TypeVar("_T")

_LOCAL_KEY = "local"  # the local gateway asks for no key unless one is set
_AIGATEWAY_VOICE = "rachel"  # what the gateways' own documents use
_GATEFLOW_VOICE = "friendly"


def build_stt(settings: Settings, *, vad: vad.VAD) -> stt.STT[Any]:
    """The speech-to-text chain; `vad` segments the audio for providers that do not stream.

    Raises:
        ConfigError: A route names a provider that cannot transcribe.
    """
    chain = [_stt(route, settings, vad) for route in settings.stt_routes]
    return _chained(chain, lambda many: stt.FallbackAdapter(many, vad=vad))


def build_llm(settings: Settings) -> llm.LLM[Any]:
    """The language model chain.

    Raises:
        ConfigError: A route names a provider that serves no language model.
    """
    return _chained([_llm(route, settings) for route in settings.llm_routes], llm.FallbackAdapter)


def build_tts(settings: Settings) -> tts.TTS[Any]:
    """The text-to-speech chain.

    Raises:
        ConfigError: A route names a provider that cannot speak.
    """
    return _chained([_tts(route, settings) for route in settings.tts_routes], tts.FallbackAdapter)


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
        api_key=revealed(settings.gateflow_api_key),
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


def _chained(chain: Sequence[_T], fallback: Callable[[list[_T]], _T]) -> _T:
    metrics.watch_faults(chain)
    return chain[0] if len(chain) == 1 else fallback(list(chain))


def _gateway(route: Route, settings: Settings) -> tuple[str, str, str]:
    """The model slug, base URL and key of a route that speaks AIgateway's wire form."""
    if route.provider == "local":
        return route.slug, settings.local_gateway_url, revealed(settings.gateway_key) or _LOCAL_KEY
    return route.slug, settings.aigateway_base_url, revealed(settings.aigateway_api_key)


def _stt(route: Route, settings: Settings, vad: vad.VAD) -> stt.STT[Any]:
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
        )
    if route.provider == "gateflow":
        return gateflow.STT(
            model=route.model,
            language=settings.language,
            base_url=settings.gateflow_base_url,
            api_key=revealed(settings.gateflow_api_key),
            vad=vad,
        )
    if engine := vendors.build_stt(route, settings):
        return engine
    raise ConfigError(f"AGENT_STT: {route.provider} offers no speech-to-text here")


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


def _llm(route: Route, settings: Settings) -> llm.LLM[Any]:
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
            api_key=revealed(settings.gateflow_api_key),
        )
    if engine := vendors.build_llm(route, settings):
        return engine
    raise ConfigError(f"AGENT_LLM: {route.provider} offers no language model here")


def _tts(route: Route, settings: Settings) -> tts.TTS[Any]:
    if route.provider in ("aigateway", "local"):
        model, base_url, api_key = _gateway(route, settings)
        voice = route.voice or _AIGATEWAY_VOICE
        return aigateway.TTS(model=model, voice=voice, base_url=base_url, api_key=api_key)
    if route.provider == "gateflow":
        return gateflow.TTS(
            model=route.model,
            voice=route.voice or _GATEFLOW_VOICE,
            base_url=settings.gateflow_base_url,
            api_key=revealed(settings.gateflow_api_key),
        )
    if engine := vendors.build_tts(route, settings):
        return engine
    raise ConfigError(f"AGENT_TTS: {route.provider} offers no voice here")
