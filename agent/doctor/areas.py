"""What the doctor can look at by itself. Imports nothing: the command line's help must be quick."""

from __future__ import annotations

from enum import StrEnum


class Area(StrEnum):
    """A part of the set-up."""

    MACHINE = "machine"
    SERVER = "server"
    STT = "stt"
    LLM = "llm"
    TTS = "tts"
