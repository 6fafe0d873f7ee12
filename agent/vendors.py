"""Vendors that are asked directly, through LiveKit's own plugins, and LiveKit Inference.

Each function returns None for a provider that has no such engine. The base URLs are settings so
that the same plugins, unmodified, can be pointed at a proxy or at the local gateway.
"""

from __future__ import annotations

from typing import Any, TypedDict

from livekit.agents import inference, llm, stt, tts
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import deepgram, elevenlabs, openai

from .config import Settings, revealed
from .routes import Route

_OPENAI_VOICE = "ash"
_DEEPGRAM_ENDPOINTING_MS = 200
"""Silence after which Deepgram tells a final. The plugin's own 25 ms cuts sentences at every
breath; the turn's end is decided here, by the words too."""


class _Inference(TypedDict):
    base_url: str
    api_key: str
    api_secret: str


def build_stt(route: Route, settings: Settings) -> stt.STT[Any] | None:
    """Ears, if the provider has any."""
    match route.provider:
        case "deepgram":
            return deepgram.STT(
                model=route.model,
                language=settings.language,
                endpointing_ms=_DEEPGRAM_ENDPOINTING_MS,
                base_url=f"{settings.deepgram_base_url.rstrip('/')}/listen",
                api_key=revealed(settings.deepgram_api_key),
            )
        case "openai":
            return openai.STT(
                model=route.model,
                language=settings.language,
                base_url=settings.openai_base_url,
                api_key=revealed(settings.openai_api_key),
            )
        case "inference":
            return inference.STT(
                model=route.model, language=settings.language, **_inference(settings)
            )
    return None


def build_llm(route: Route, settings: Settings) -> llm.LLM[Any] | None:
    """A language model, if the provider has any."""
    match route.provider:
        case "openai":
            return openai.LLM(
                model=route.model,
                max_completion_tokens=settings.llm_max_tokens or NOT_GIVEN,
                base_url=settings.openai_base_url,
                api_key=revealed(settings.openai_api_key),
            )
        case "inference":
            options = (
                {"max_completion_tokens": settings.llm_max_tokens}
                if settings.llm_max_tokens
                else {}
            )
            return inference.LLM(model=route.model, extra_kwargs=options, **_inference(settings))
    return None


def build_tts(route: Route, settings: Settings) -> tts.TTS[Any] | None:
    """A voice, if the provider has any."""
    match route.provider:
        case "deepgram":
            return deepgram.TTS(
                model=route.model,
                base_url=f"{settings.deepgram_base_url.rstrip('/')}/speak",
                api_key=revealed(settings.deepgram_api_key),
            )
        case "elevenlabs":
            return elevenlabs.TTS(
                model=route.model,
                voice_id=route.voice or elevenlabs.DEFAULT_VOICE_ID,
                base_url=settings.eleven_base_url.rstrip("/"),
                api_key=revealed(settings.eleven_api_key),
            )
        case "openai":
            return openai.TTS(
                model=route.model,
                voice=route.voice or _OPENAI_VOICE,
                base_url=settings.openai_base_url,
                api_key=revealed(settings.openai_api_key),
            )
        case "inference":
            return inference.TTS(
                model=route.model, voice=route.voice or NOT_GIVEN, **_inference(settings)
            )
    return None


def _inference(settings: Settings) -> _Inference:
    return _Inference(
        base_url=settings.inference_url,
        api_key=settings.inference_api_key or settings.livekit_api_key,
        api_secret=revealed(settings.inference_api_secret or settings.livekit_api_secret),
    )
