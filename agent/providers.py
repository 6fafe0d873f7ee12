"""Settings to plugins: each stage's chain of routes becomes an STT, LLM or TTS with fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from livekit.agents import llm, stt, tts, vad
from livekit.plugins import aigateway, deepgram, elevenlabs, openai
from pydantic import SecretStr

from .config import ConfigError, Settings, TurnSettings
from .observe import metrics
from .routes import Route
from .words import Outlook, outlook

_T = TypeVar("_T")

_LOCAL_KEY = "local"  # the local gateway asks for no key unless one is set
_GATEWAY_VOICE = "rachel"  # what the gateway's own documents use


def build_stt(settings: Settings, *, vad: vad.VAD) -> stt.STT[Any]:
    """The speech-to-text chain; `vad` segments the audio for fallbacks that do not stream.

    Raises:
        ConfigError: A route names a provider that cannot transcribe.
    """
    chain = [_stt(route, settings) for route in settings.stt_routes]
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


def _chained(chain: Sequence[_T], fallback: Callable[[list[_T]], _T]) -> _T:
    metrics.watch_faults(chain)
    return chain[0] if len(chain) == 1 else fallback(list(chain))


def _gateway(route: Route, settings: Settings) -> tuple[str, str, str]:
    """The model slug, base URL and key of a route that speaks AIgateway's wire form."""
    if route.provider == "local":
        model = route.model if "/" in route.model else f"local/{route.model}"
        return model, settings.local_gateway_url, _secret(settings.gateway_key) or _LOCAL_KEY
    return route.model, settings.aigateway_base_url, _secret(settings.aigateway_api_key)


def _stt(route: Route, settings: Settings) -> stt.STT[Any]:
    match route.provider:
        case "aigateway" | "local":
            model, base_url, api_key = _gateway(route, settings)
            return aigateway.STT(
                model=model,
                base_url=base_url,
                api_key=api_key,
                language=settings.language,
                dialect=settings.aigateway_dialect,
                preflight=_preflight(settings.turn),
            )
        case "deepgram":
            return deepgram.STT(
                model=route.model,
                language=settings.language,
                api_key=_secret(settings.deepgram_api_key),
            )
        case "openai":
            return openai.STT(
                model=route.model,
                language=settings.language,
                api_key=_secret(settings.openai_api_key),
            )
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
    match route.provider:
        case "aigateway" | "local":
            model, base_url, api_key = _gateway(route, settings)
            return aigateway.LLM(
                model=model,
                base_url=base_url,
                api_key=api_key,
                store_transcript=settings.aigateway_store_transcript,
            )
        case "openai":
            return openai.LLM(model=route.model, api_key=_secret(settings.openai_api_key))
    raise ConfigError(f"AGENT_LLM: {route.provider} offers no language model here")


def _tts(route: Route, settings: Settings) -> tts.TTS[Any]:
    match route.provider:
        case "aigateway" | "local":
            model, base_url, api_key = _gateway(route, settings)
            voice = route.voice or _GATEWAY_VOICE
            return aigateway.TTS(model=model, voice=voice, base_url=base_url, api_key=api_key)
        case "deepgram":
            return deepgram.TTS(model=route.model, api_key=_secret(settings.deepgram_api_key))
        case "elevenlabs":
            voice = route.voice or elevenlabs.DEFAULT_VOICE_ID
            api_key = _secret(settings.eleven_api_key)
            return elevenlabs.TTS(model=route.model, voice_id=voice, api_key=api_key)
        case "openai":
            voice = route.voice or "ash"
            api_key = _secret(settings.openai_api_key)
            return openai.TTS(model=route.model, voice=voice, api_key=api_key)
    raise ConfigError(f"AGENT_TTS: {route.provider} offers no voice here")


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""
