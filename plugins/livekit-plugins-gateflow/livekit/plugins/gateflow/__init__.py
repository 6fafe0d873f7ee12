"""GateFlow plugin for LiveKit Agents.

Speech to text, a language model, text to speech and whole pipelines behind one key.

See https://docs.livekit.io/agents/integrations/ for how plugins are used.
"""

from livekit.agents import Plugin
from livekit.plugins.gatewaykit.limits import Limits, LLMTimeouts
from livekit.plugins.gatewaykit.llm_stream import LLMStream
from livekit.plugins.gatewaykit.tts import ChunkedStream, SynthesizeStream

from ._limits import RealtimeTimeouts, STTTimeouts, TTSTimeouts
from ._session import RealtimeSession
from .llm import LLM
from .log import logger
from .models import (
    AudioFormats,
    LLMModels,
    STTModels,
    Templates,
    Transports,
    TTSModels,
    TTSVoices,
)
from .realtime import RealtimeModel
from .stt import STT, SpeechStream
from .tts import TTS
from .version import __version__

__all__ = [
    "LLM",
    "STT",
    "TTS",
    "AudioFormats",
    "ChunkedStream",
    "LLMModels",
    "LLMStream",
    "LLMTimeouts",
    "Limits",
    "RealtimeModel",
    "RealtimeSession",
    "RealtimeTimeouts",
    "STTModels",
    "STTTimeouts",
    "SpeechStream",
    "SynthesizeStream",
    "TTSModels",
    "TTSTimeouts",
    "TTSVoices",
    "Templates",
    "Transports",
    "__version__",
]


class GateFlowPlugin(Plugin):
    """Registers this package with the framework."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(GateFlowPlugin())

# Cleanup docs of unexported modules
_module = dir()
NOT_IN_ALL = [m for m in _module if m not in __all__]

__pdoc__ = dict.fromkeys(NOT_IN_ALL, False)
