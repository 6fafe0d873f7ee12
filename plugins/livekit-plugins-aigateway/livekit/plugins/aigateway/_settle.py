"""When an interim transcript has settled enough to start thinking about an answer.

LiveKit starts a speculative reply on ``PREFLIGHT_TRANSCRIPT`` and at most three times a turn, so a
preflight in the middle of a sentence is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass

_TERMINAL = (".", "?", "!", "。", "？", "！", "।")
_HESITATION = ("...", "…")
"""How recognisers write a sentence that they expect to go on."""


@dataclass(frozen=True, kw_only=True)
class SettlePolicy:
    """Milliseconds that must pass. Partials come about every 100 ms from this gateway."""

    settle_ms: float = 100.0
    """The text is unchanged this long, and the caller has been silent for ``silence_ms``."""
    silence_ms: float = 160.0
    """The stops inside words are silences too, of up to 150 ms."""
    terminal_silence_ms: float = 120.0
    """Silence that suffices after ``. ? !``. Recognisers put a full stop after any partial, so
    the mark alone says nothing while the voice goes on."""
    noisy_settle_ms: float = 800.0
    """Unchanged this long settles in noise too, where the caller never seems silent."""


def settled(text: str, *, unchanged_ms: float, silent_ms: float, policy: SettlePolicy) -> bool:
    """Whether the interim ``text`` is worth a speculative reply.

    Args:
        text: The interim as it stands.
        unchanged_ms: How long it has stood.
        silent_ms: How long nobody has seemed to speak.
        policy: The thresholds.
    """
    text = text.strip()
    if not text:
        return False
    complete = text.endswith(_TERMINAL) and not text.endswith(_HESITATION)
    if complete and silent_ms >= policy.terminal_silence_ms:
        return True
    if unchanged_ms >= policy.settle_ms and silent_ms >= policy.silence_ms:
        return True
    return unchanged_ms >= policy.noisy_settle_ms
