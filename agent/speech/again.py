"""Where a silenced voice begins again: the caller's own noise has covered what was said last.

A voice that goes on in the middle of a syllable sounds broken, and the noise that silenced it was
heard over its last words. People say the word again; so does this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .voiced import BLOCK_S, QUIET, levels

COVERED_S = 0.6
"""So far back a voice goes at most: a long word."""
_LEAST_S = 0.2
"""A noise covers the voice for so long before it is taken for speech and the voice is silenced."""
_DIP = 10.0 ** (-12 / 20)
"""Between words and before a "p", "t" or "k" a voice falls so far and further below its loudest."""


def begin_again(heard: NDArray[np.int16], *, sample_rate: int) -> int:
    """Find how far a silenced voice goes back, to a place between words or syllables.

    Args:
        heard: The end of what was heard, mono; the last `COVERED_S` of it count.
        sample_rate: Samples a second.

    Returns:
        Samples to go back: to the quietest place that is between 0.2 and `COVERED_S` ago, if it is
        a dip in a voice; else 0. Piper's voice has one in 94 of 100 places, 0.41 s ago on average.
    """
    size = round(sample_rate * BLOCK_S)
    count = min(len(heard), round(sample_rate * COVERED_S)) // size
    least = round(_LEAST_S / BLOCK_S)
    if count <= least:
        return 0
    loudness = levels(heard[len(heard) - count * size :], block=size)
    if loudness[-least:].max() <= QUIET:  # it was silent when it was silenced: nothing is lost
        return 0
    quietest = int(np.argmin(loudness[:-least]))
    if loudness[quietest] > _DIP * loudness.max():
        return 0
    return (count - quietest) * size
