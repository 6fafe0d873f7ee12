"""AIgateway plugin for LiveKit Agents.

Speech to text, a language model and text to speech behind one key. Streams survive what networks
do: audio that was not transcribed is sent again after a reconnect, a reply that broke off goes on
where it was, and an interruption never costs a handshake.

See https://docs.livekit.io/agents/integrations/ for how plugins are used.
"""

from livekit.agents import Plugin
from livekit.plugins.gatewaykit.clauses import ClauseTokenizer
from livekit.plugins.gatewaykit.errors import (
    ConnectionLostError,
    NoAudioError,
    ProtocolError,
    StalledError,
)
from livekit.plugins.gatewaykit.limits import Limits, LLMTimeouts
from livekit.plugins.gatewaykit.llm_stream import LLMStream
from livekit.plugins.gatewaykit.tts import ChunkedStream, SynthesizeStream

from ._limits import ReplayOptions, STTTimeouts, TTSTimeouts
from ._settle import Ending, SettlePolicy, ending_by_punctuation, same_words, settled
from ._stt_stream import SpeechStream
from .llm import LLM
from .log import logger
from .models import EndOfInput, LLMModels, STTDialect, STTEncoding, STTModels, TTSModels, TTSVoices
from .stt import STT
from .tts import TTS
from .version import __version__

__all__ = [
    "LLM",
    "STT",
    "TTS",
    "ChunkedStream",
    "ClauseTokenizer",
    "ConnectionLostError",
    "EndOfInput",
    "Ending",
    "LLMModels",
    "LLMStream",
    "LLMTimeouts",
    "Limits",
    "NoAudioError",
    "ProtocolError",
    "ReplayOptions",
    "STTDialect",
    "STTEncoding",
    "STTModels",
    "STTTimeouts",
    "SettlePolicy",
    "SpeechStream",
    "StalledError",
    "SynthesizeStream",
    "TTSModels",
    "TTSTimeouts",
    "TTSVoices",
    "__version__",
    "ending_by_punctuation",
    "same_words",
    "settled",
]


class AIgatewayPlugin(Plugin):
    """Registers this package with the framework."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(AIgatewayPlugin())

# Cleanup docs of unexported modules
_module = dir()
NOT_IN_ALL = [m for m in _module if m not in __all__]

__pdoc__ = dict.fromkeys(NOT_IN_ALL, False)
