"""Faults by chance: what a soak puts into its calls. Every one of them can be healed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

_Fault = dict[str, Any]
_Draw = Callable[[random.Random], _Fault]

_ANY_STAGE: tuple[_Draw, ...] = (
    lambda rng: {"do": "reset", "at": _somewhere(rng), "limit": rng.randint(1, 2)},
    lambda rng: {"do": "close", "at": _somewhere(rng), "limit": 1},
    lambda rng: {"do": "half_open", "at": _somewhere(rng), "limit": 1},
    lambda rng: {"do": "refuse", "limit": rng.randint(1, 2)},
    lambda rng: {"do": "http_status", "status": rng.choice([429, 500, 502, 503, 504]), "limit": 1},
    lambda rng: {"do": "stall", "at": _somewhere(rng), "ms": rng.randint(50, 800), "limit": 1},
    lambda rng: {"do": "delay", "ms": rng.randint(5, 80), "jitter_ms": 5},
    lambda rng: {"do": "garbage", "at": _message(rng), "times": rng.randint(1, 6), "limit": 1},
    lambda rng: {"do": "wrong_types", "at": _message(rng), "times": rng.randint(1, 2), "limit": 1},
    lambda rng: {"do": "non_finite", "at": _message(rng), "value": "1e999", "limit": 1},
    lambda rng: {"do": "deep_nesting", "at": _message(rng), "limit": 1},
    lambda rng: {"do": "oversize", "at": _message(rng), "limit": 1},
    lambda rng: {"do": "error_message", "at": _message(rng), "limit": 1},
)
_STT: tuple[_Draw, ...] = (
    lambda rng: {"do": "reset", "at": {"byte": rng.randint(1, 60_000)}, "limit": 1},
    lambda _: {"do": "slice", "bytes": 1},
    lambda rng: {"do": "wrong_kind", "at": _message(rng), "limit": 1},
    lambda _: {"do": "zero_length", "times": 3, "limit": 1},
    lambda rng: {"do": "late_final", "ms": rng.randint(50, 400), "limit": 1},
    lambda _: {"do": "duplicate_final"},
    lambda _: {"do": "missing_final", "limit": 1},
)
_LLM: tuple[_Draw, ...] = (
    lambda rng: {"do": "truncate", "at": _message(rng), "limit": 1},
    lambda rng: {"do": "half_tool_call", "limit": rng.randint(1, 2)},
    lambda _: {"do": "http_status", "status": 429, "retry_after": "1", "limit": 1},
    lambda _: {"do": "slice", "bytes": 7},
)
_TTS: tuple[_Draw, ...] = (
    lambda rng: {"do": "reset", "at": {"byte": rng.randint(1, 100_000)}, "limit": 1},
    lambda _: {"do": "slice", "bytes": 997},
    lambda _: {"do": "odd_bytes"},
    lambda rng: {"do": "zero_length", "at": _message(rng), "times": 3},
    lambda rng: {"do": "wrong_kind", "at": _message(rng), "limit": 1},
    lambda rng: {"do": "audio_after_cancel", "ms": rng.randint(50, 300)},
)
_BY_STAGE = {"stt": _STT, "llm": _LLM, "tts": _TTS}
_MOST_FAULTS = 3


def draw(rng: random.Random) -> list[_Fault]:
    """The faults of one call."""
    faults = []
    for _ in range(rng.randint(1, _MOST_FAULTS)):
        stage = rng.choice(list(_BY_STAGE))
        fault = rng.choice(_ANY_STAGE + _BY_STAGE[stage])(rng)
        faults.append({"stage": stage} | fault)
    return faults


def _somewhere(rng: random.Random) -> dict[str, int]:
    return rng.choice([_message(rng), {"word": rng.randint(1, 9)}, {"ms": rng.randint(0, 1500)}])


def _message(rng: random.Random) -> dict[str, int]:
    return {"message": rng.randint(1, 6)}
