"""What is said in every call, how it sounds, and the script that tells the sim gateway about it.

The sim recogniser does not understand; it tells the words of the script when their sound is over.
So the script is made from the rendered audio: each word ends where its share of the sound ends.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from bench.noises import cough
from caller.activity import Samples
from caller.voice import RATE, Voice
from gateway.engines.sim.stt import SPEECH_RMS

Kind = Literal["plain", "noise", "barge", "pause"]

PAUSE_S = 0.8
"""The pause for thought in a line of kind `pause`."""
STRICT_GAP_S = 0.05
"""Where gaps must be shorter than this, weak sound is cut as well: on its way through codec and
gain control it can become silence."""
_BLOCK = RATE // 100
_REPLY = "Sure, it comes on Monday."
_LONG_REPLY = (
    "Sure, let me check that for you. It was packed today, it is on its way to you, and it comes "
    "on Monday."
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One turn of the call.

    Attributes:
        kind: What happens in it: nothing else, `NOISES` into the reply, an interruption, or a pause
            in the line itself (at its comma).
        says: The caller's line.
        then: The interrupting line.
        reply: What the sim model answers to `says`.
    """

    kind: Kind
    says: str
    then: str = ""
    reply: str = _REPLY


COUGH, MURMUR = "cough", "Mhm."
NOISES = (COUGH, MURMUR)

CALL = (
    Step(kind="plain", says="The shoes were too tight for me."),
    Step(
        kind="barge",
        says="The blue jacket was too small for me.",
        then="No, please take the later train.",
        reply=_LONG_REPLY,
    ),
    Step(kind="noise", says="Please book the early train for me.", reply=_LONG_REPLY),
    Step(kind="pause", says="I would like to book a flight to, Berlin on Friday morning."),
    Step(kind="plain", says="Could you tell me what it costs?"),
    Step(
        kind="barge",
        says="The screen has a scratch on it.",
        then="Wait, I meant the other one.",
        reply=_LONG_REPLY,
    ),
    Step(
        kind="barge",
        says="The coffee machine does not work.",
        then="Stop, that is not what I asked for.",
        reply=_LONG_REPLY,
    ),
    Step(kind="plain", says="How much does the ticket cost?"),
)
"""The call that everyone gets. The first six turns have all kinds: the quick run.

The lines are ones that LiveKit's local turn model (v1-mini) takes for finished in this voice, at
every moment from 150 to 350 ms after their end. It doubts half of all lines that are over, which
costs those who wait for it up to 2.5 s; here that would hide everything else.

Of the interruptions one begins with a hiss, which no voice activity detector takes for a voice: it
is noticed 60 ms later than the others."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The rendered call: `audio` has the file of every line and noise, by its words."""

    audio: dict[str, Path]
    script: dict[str, object] = field(repr=False)


async def render(
    folder: Path, voice: Voice, steps: Sequence[Step], *, longest_gap_s: float
) -> Lines:
    """Render a call's lines and make the sim gateway's script.

    Args:
        folder: Where the audio goes; it is there.
        voice: Speaks the lines.
        steps: The call.
        longest_gap_s: Inner silence of a line is cut to this, so that the recogniser makes one
            utterance of it.

    Raises:
        CallerError: There is no voice on this machine.
    """
    audio: dict[str, Path] = {}
    utterances: list[dict[str, object]] = []
    for step in steps:
        noises = NOISES if step.kind == "noise" else ()
        for words in filter(None, (step.says, *noises, step.then)):
            if words == COUGH:
                samples, said = cough(rate=RATE, seed=1), [""]
            else:
                samples = (await voice.line(words)).samples
                pauses = step.kind == "pause" and words == step.says
                samples = paced(
                    samples, longest_s=longest_gap_s, pause_s=PAUSE_S if pauses else None
                )
                said = words.split(",") if pauses else [words]
            path = folder / f"{len(audio):02d}.wav"
            audio.setdefault(words, path)
            _write(audio[words], samples)
            reply = step.reply if words == step.says else _REPLY
            utterances += script_of(samples, said, reply=reply)
    return Lines(audio=audio, script={"utterances": utterances, "reply": _REPLY})


def paced(samples: Samples, *, longest_s: float, pause_s: float | None) -> Samples:
    """Cut inner silences to `longest_s`; the longest of them becomes `pause_s` if given.

    Raises:
        ValueError: A pause is wanted where there is no inner silence to put it.
    """
    gaps = _inner_gaps(samples, longer_than_s=longest_s)
    if pause_s is not None and not gaps:
        raise ValueError("the line has no inner silence that could become its pause")
    longest = max(gaps, key=lambda gap: gap[1] - gap[0], default=None)
    parts, at = [], 0
    for first, last in gaps:
        keep = round((pause_s if pause_s and (first, last) == longest else longest_s) * RATE)
        parts += [samples[at:first], samples[first:last][:keep]]
        parts.append(np.zeros(max(0, keep - (last - first)), dtype=np.int16))
        at = last
    return np.concatenate([*parts, samples[at:]])


def script_of(samples: Samples, said: list[str], *, reply: str) -> list[dict[str, object]]:
    """The utterances that the sim recogniser shall make of a line, one for each of `said`.

    Words end where their share of the characters of the sound ends. No words are a noise.
    """
    spans = _utterances(samples, count=len(said))
    return [
        {"words": _timed(text.split(), length_s=last - first), "reply": reply}
        for text, (first, last) in zip(said, spans, strict=True)
    ]


def _timed(words: list[str], *, length_s: float) -> list[dict[str, object]]:
    total, until, timed = sum(len(word) for word in words), 0, []
    for word in words:
        until += len(word)
        timed.append({"word": word, "end_ms": round(1000 * length_s * until / total, 1)})
    return timed


def _sounding(samples: Samples, *, least_rms: float = SPEECH_RMS) -> list[int]:
    """The blocks of 10 ms that are at least so loud: sound, for the sim recogniser."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK) / 32768
    return [int(i) for i in np.flatnonzero(np.sqrt(np.mean(blocks**2, axis=1)) >= least_rms)]


def _inner_gaps(samples: Samples, *, longer_than_s: float) -> list[tuple[int, int]]:
    """Silences between sounds that are longer than allowed, as samples."""
    strict = longer_than_s < STRICT_GAP_S
    sounding = _sounding(samples, least_rms=2 * SPEECH_RMS if strict else SPEECH_RMS)
    longest = round(longer_than_s * 100)
    return [((a + 1) * _BLOCK, b * _BLOCK) for a, b in pairwise(sounding) if b - a - 1 > longest]


def _utterances(samples: Samples, *, count: int) -> list[tuple[float, float]]:
    """The stretches of sound, in seconds, that `count` utterances have: cut at the longest gaps."""
    sounding = _sounding(samples)
    gaps = sorted(pairwise(sounding), key=lambda g: g[0] - g[1])
    cuts = sorted(gaps[: count - 1])
    starts = [sounding[0], *(b for _, b in cuts)]
    ends = [*(a for a, _ in cuts), sounding[-1]]
    return [(a / 100, (b + 1) / 100) for a, b in zip(starts, ends, strict=True)]


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(samples.tobytes())
