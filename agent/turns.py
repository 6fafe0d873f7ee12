"""Turns: when the caller has finished, what is generated ahead of that, and what interrupts."""

from __future__ import annotations

from livekit.agents import EndpointingOptions, InterruptionOptions, TurnHandlingOptions, inference
from livekit.agents import PreemptiveGenerationOptions as PreemptiveOptions
from livekit.agents import vad as lk_vad
from livekit.plugins import silero

from .config import Settings, TurnSettings


def load_vad(settings: Settings) -> lk_vad.VAD:
    """Load Silero. The native build needs half the CPU of the ONNX Runtime one (measured)."""
    if settings.vad == "plugin":
        return silero.VAD.load(min_silence_duration=settings.turn.vad_min_silence_s)
    return inference.VAD(model="silero", min_silence_duration=settings.turn.vad_min_silence_s)


def turn_handling(turn: TurnSettings) -> TurnHandlingOptions:
    """The session's turn handling.

    Nothing here may leave the machine: left to itself the framework picks LiveKit's hosted turn
    detector and hosted interruption classifier in dev and console mode, whatever server the worker
    is connected to.
    """
    return TurnHandlingOptions(
        turn_detection=inference.TurnDetector(version="v1-mini"),
        endpointing=EndpointingOptions(
            mode="fixed",
            min_delay=turn.min_endpointing_delay_s,
            max_delay=turn.max_endpointing_delay_s,
        ),
        interruption=InterruptionOptions(
            mode="vad",
            min_duration=turn.min_interruption_s,
            resume_false_interruption=True,
            false_interruption_timeout=turn.false_interruption_timeout_s,
        ),
        # The reply is written and synthesised while the turn's end is still being awaited: that
        # wait then costs the caller nothing.
        preemptive_generation=PreemptiveOptions(enabled=True, preemptive_tts=True),
    )
