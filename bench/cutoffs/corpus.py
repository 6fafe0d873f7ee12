"""Labelled utterances: where the caller pauses, what was said by then, and whether that was all.

Everything is made from a seed. Half of the cases are pauses inside a turn, half are ends of turns.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from caller.activity import Activity, Samples, level_dbfs, speech_bounds
from caller.audio import EAR_RATE, read_wav, resample
from caller.voice import Voice
from demo.binaries import ROOT

RECORDING = ROOT / "tests" / "audio" / "two_cities.wav"
RECORDED = (
    "It was the best of times | it was the worst of times | It was the age of wisdom "
    "| it was the age of foolishness | It was the epoch of belief | it was the epoch of incredulity"
)
"""What is said in it, and where its reader pauses."""

TEMPLATES = """\
I would like to book a flight to | {city} on {day}.
My e-mail address is | {name} at example dot com.
My order number is four two | seven nine one.
Can you tell me when | the next train to {city} leaves?
I need to change my | appointment on {day}.
Please send it to | nine Station Road in {city}.
I bought a {thing} last week and | it does not work.
What I wanted to ask is | whether you open on {day}.
The {thing} that I ordered on {day} | has not arrived.
I think I would rather have | the {colour} one.
Well, let me see | I could come on {day}.
On {day} I am in {city} | so I need it before that.
If it rains on {day} | we will take the train.
I am calling about | the {thing} you sent me.
Yes | but I would like it in {colour}.
How much is the {thing} | and do you have it in {colour}?
Where is my {thing} | I ordered it on {day}.
I will take the {colour} {thing} | and the cheap one.
My name is {name} | and I live in {city}.
There is a problem with the {thing} | it stays dark.
Could I speak to | somebody about my {thing}?
I paid for it on {day} | with my old card.
Do you have any | {colour} ones left?
Can I bring my {thing} | or do you have one there?""".splitlines()
SLOTS = {
    "city": "Berlin Paris London Rome Boston Madrid Vienna Chicago".split(),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "name": "Anna Peter Maria Tom Laura George".split(),
    "thing": "lamp phone printer camera laptop radio heater".split(),
    "colour": "blue green red black white grey".split(),
}
SEED = 7
FILLINGS = 6
"""Utterances made of one template."""
TAKES = 10
"""Times that the recording is used, each with another loudness, noise and speed."""

SILENCE_S = 3.5
"""Silence that follows what was said: longer than any policy waits."""
MEDIAN_PAUSE_S = 0.33
PAUSE_SPREAD = 0.75
"""Pauses are drawn from a log-normal distribution with this median and this sigma. It follows the
public eot-bench set, of whose pauses a plain timer of 0.3 s cuts off 56 %, one of 0.6 s 22 % and
one of 1 s 10 % (this distribution: 55, 21 and 7)."""
LONGEST_PAUSE_S = 3.0
FULL_STOPS = 0.5
"""Share of pauses after which the recogniser puts a full stop, although there was more to come."""
_PLACE_TOLERANCE = 0.2
SHORTEST_GAP_S = 0.06
"""A gap between words in the audio that is long enough to be the place to pause at."""
NOISE_DBFS = (-70.0, -50.0)
GAIN_DB = (-12.0, 0.0)
SPEED = (0.94, 1.06)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A moment at which the caller falls silent.

    Attributes:
        said: The recogniser's words by then.
        audio: Mono, `EAR_RATE`: what was said and `SILENCE_S` of silence, with noise on all of it.
        end_s: When the speech ends, seconds from the audio's start.
        pause_s: How long the caller is silent before going on; None if that was all.
        source: "piper" or "human".
    """

    said: str
    audio: Samples = field(repr=False)
    end_s: float
    pause_s: float | None
    source: str


async def build(seed: int, voice: Voice, *, fillings: int = FILLINGS) -> list[Case]:
    """Make all cases.

    Args:
        seed: The same one gives the same cases.
        voice: Renders the lines.
        fillings: Utterances for each template.

    Raises:
        CallerError: There is no voice on this machine.
    """
    rng = random.Random(seed)
    cases: list[Case] = []
    for template in TEMPLATES:
        for _ in range(fillings):
            text = template.format(**{slot: rng.choice(values) for slot, values in SLOTS.items()})
            before, after = (part.strip() for part in text.split("|"))
            line = await voice.line(f"{before}, {after}")
            samples = resample(line.samples, rate=48_000, to=EAR_RATE)
            if (gap := _gap_near(samples, share=len(before) / (len(before) + len(after)))) is None:
                continue  # the voice ran over the comma: there is no place to pause at
            cases += _pair(samples, gap, before, f"{before} {after}", rng=rng, source="piper")
    return cases + list(_recorded(rng))


def _recorded(rng: random.Random) -> Iterator[Case]:
    samples, rate = read_wav(RECORDING)
    phrases = [phrase.strip() for phrase in RECORDED.split("|")]
    for _ in range(TAKES):
        take = resample(samples, rate=rate, to=round(EAR_RATE / rng.uniform(*SPEED)))
        gaps = sorted(_gaps(take), key=lambda gap: gap[0] - gap[1])[: len(phrases) - 1]
        for count, gap in enumerate(sorted(gaps), start=1):
            said = ", ".join(phrases[:count])
            yield _case(take[: gap[0]], _heard(said, rng), _pause(rng), rng=rng, source="human")
        yield _case(take, ", ".join(phrases) + ".", None, rng=rng, source="human")


def _pair(
    samples: Samples,
    gap: tuple[int, int],
    before: str,
    whole: str,
    *,
    rng: random.Random,
    source: str,
) -> list[Case]:
    """The pause in an utterance, and its end."""
    return [
        _case(samples[: gap[0]], _heard(before, rng), _pause(rng), rng=rng, source=source),
        _case(samples, whole, None, rng=rng, source=source),
    ]


def _case(
    samples: Samples, said: str, pause_s: float | None, *, rng: random.Random, source: str
) -> Case:
    gain = 10 ** (rng.uniform(*GAIN_DB) / 20)
    noise = 32768 * 10 ** (rng.uniform(*NOISE_DBFS) / 20)
    silence = np.zeros(round(SILENCE_S * EAR_RATE))
    clean = np.concatenate([samples * gain, silence])
    noisy = clean + np.random.default_rng(rng.getrandbits(32)).normal(0.0, noise, len(clean))
    bounds = speech_bounds(samples, rate=EAR_RATE)
    assert bounds is not None, said
    return Case(
        said=said,
        audio=np.clip(noisy, -32768, 32767).astype(np.int16),
        end_s=bounds[1] / EAR_RATE,
        pause_s=pause_s,
        source=source,
    )


def _heard(words: str, rng: random.Random) -> str:
    """What a recogniser makes of words before a pause: now and then it takes them for a sentence.

    A comma would tell what it cannot know.
    """
    return words + ("." if rng.random() < FULL_STOPS else "")


def _pause(rng: random.Random) -> float:
    return min(LONGEST_PAUSE_S, rng.lognormvariate(np.log(MEDIAN_PAUSE_S), PAUSE_SPREAD))


def _gap_near(samples: Samples, *, share: float) -> tuple[int, int] | None:
    """The longest gap that lies where `share` of the words has been said; None if there is none."""
    near = [gap for gap in _gaps(samples) if abs(gap[0] / len(samples) - share) <= _PLACE_TOLERANCE]
    return max(near, key=lambda gap: gap[1] - gap[0], default=None)


def _gaps(samples: Samples) -> list[tuple[int, int]]:
    """Silences between sounds of at least `SHORTEST_GAP_S`, in samples."""
    frame, activity = EAR_RATE // 100, Activity()
    for first in range(0, len(samples), frame):
        activity.push(first / EAR_RATE, level_dbfs(samples[first : first + frame]))
    return [
        (round(a.end * EAR_RATE), round(b.start * EAR_RATE))
        for a, b in pairwise(activity.spans)
        if b.start - a.end >= SHORTEST_GAP_S
    ]


def describe(cases: list[Case]) -> str:
    """How many there are of what."""
    pauses = [case for case in cases if case.pause_s is not None]
    human = sum(case.source == "human" for case in cases)
    return (
        f"{len(cases)} cases: {len(pauses)} pauses inside a turn and {len(cases) - len(pauses)} "
        f"ends of turns; {human} of them from a human recording, the others spoken by Piper"
    )
