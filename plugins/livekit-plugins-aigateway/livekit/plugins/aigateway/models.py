"""Model slugs and voices known when this version was made.

Every parameter that takes one is typed ``Models | str``: the gateway adds models without asking us.
"""

from __future__ import annotations

from typing import Literal

STTModels = Literal["deepgram/nova-3"]
LLMModels = Literal["moonshot/kimi-k2.6"]
TTSModels = Literal["elevenlabs/eleven-turbo-v3"]
TTSVoices = Literal["rachel"]

STTDialect = Literal["deepgram", "minimal"]
"""``deepgram`` adds Deepgram's query options and its KeepAlive and CloseStream messages;
``minimal`` sends nothing but audio."""

STTEncoding = Literal["linear16", "opus"]
"""How audio is sent: 16-bit PCM, or Opus at a tenth of the size."""

EndOfInput = Literal["none", "empty"]
"""How the end of a reply is told to the TTS: not at all, or by ``{"text": ""}``."""
