"""How long a route of a chain is waited for, and when it is tried again. All times in seconds.

They are for chains of two routes and more. A route that is alone keeps its plugin's own waits and
retries: there is nothing to hurry to.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ChainSettings(BaseSettings):
    """Waits that fit a call: no stage's switch is to be heard as more than a pause."""

    model_config = SettingsConfigDict(env_prefix="AGENT_CHAIN_", env_file=".env", extra="ignore")

    connect_s: float = Field(1.5, ge=0.1, le=30)
    """Wait for a speech-to-text or text-to-speech connection."""
    final_s: float = Field(1.2, ge=0.3, le=30)
    """Silence of the caller and of the recogniser while a final is owed. The caller waits."""
    no_words_s: float = Field(3.0, ge=0.5, le=30)
    """Silence of a recogniser while the caller speaks."""
    llm_s: float = Field(2.5, ge=0.2, le=60)
    """Wait for the model's first sign of an answer, and for each further one."""
    first_audio_s: float = Field(1.0, ge=0.2, le=30)
    """Wait for a voice's first sound of a text."""
    stall_s: float = Field(0.8, ge=0.2, le=30)
    """Silence of a voice in the middle of a text, after what came has been heard."""
    probe_after_s: float = Field(2.0, ge=0.1, le=600)
    """A route that failed is probed after this time, and after twice as long each time it fails
    again."""
    probe_longest_s: float = Field(60.0, ge=1, le=3600)
    """That time grows no further."""
    probe_s: float = Field(6.0, ge=0.5, le=60)
    """Wait for a probe's answer."""
