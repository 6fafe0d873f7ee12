"""Model slugs, voices and templates that the gateway's documentation names.

Every parameter that takes one is typed ``Models | str``: the gateway adds models without asking us.
"""

from __future__ import annotations

from typing import Literal

STTModels = Literal["whisper-1", "voxtral-mini-latest"]
LLMModels = Literal["gpt-5-mini"]
TTSModels = Literal["eleven_turbo_v2_5"]
TTSVoices = Literal["friendly"]
Templates = Literal["voice-agent-fast"]

AudioFormats = Literal["pcm", "mp3"]
"""How speech is sent: 16-bit PCM, or MP3 at a ninth of the size and the price of a decoder."""

Transports = Literal["websocket", "pipeline"]
"""A socket on which the gateway takes turns, or one request a turn."""
