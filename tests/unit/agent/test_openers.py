"""Kept openers: what is said is what the model wrote, word for word, and some of it is there."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assistant import instructions
from agent.config import DEFAULT_OPENERS
from agent.speech.openers import OpenerCache, Opening
from agent.speech.phrases import PhraseCache

VOICE = "local:sim/tts:sim"
OPENERS = ("Sure,", "Okay,", "Of course,", "Let me see,")


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> PhraseCache:
    """Every opener but "Okay," has audio."""
    cache = PhraseCache(folder=tmp_path_factory.mktemp("phrases"), voice=VOICE)
    for opener in OPENERS:
        if opener != "Okay,":
            with wave.open(str(cache._path(opener)), "wb") as audio:
                audio.setnchannels(1)
                audio.setsampwidth(2)
                audio.setframerate(24_000)
                audio.writeframes(bytes(24_000))
    return cache


@pytest.fixture(scope="module")
def cache(phrases: PhraseCache) -> OpenerCache:
    return OpenerCache(phrases=phrases, openers=OPENERS)


async def begun(cache: OpenerCache, *pieces: str) -> tuple[Opening, str, int]:
    """How a reply begins, the text that is still to be said, and how much was read to know."""
    read = 0

    async def source() -> AsyncIterator[str]:
        nonlocal read
        for piece in pieces:
            read += 1
            yield piece

    opening = await cache.begin(source())
    read_first = read
    return opening, "".join([text async for text in opening.rest]), read_first


async def test_kept_audio_leaves_with_the_opener_itself(cache: OpenerCache) -> None:
    opening, rest, read = await begun(cache, "Sure,", " it", " comes today.")
    assert (opening.kind, rest, read) == ("hit", " it comes today.", 1)
    assert sum(frame.duration for frame in opening.audio) == pytest.approx(0.5)
    assert opening.characters_saved == len("Sure,")


@pytest.mark.parametrize(
    ("pieces", "kind", "rest"),
    [
        (("Of", " course", ", it", " is."), "hit", "it is."),
        (("sure! It is.",), "hit", "It is."),
        (("Okay,", " it is."), "miss", "Okay, it is."),
        (("Surely", " it is."), "none", "Surely it is."),
        (("Sure", " thing, it is."), "none", "Sure thing, it is."),
        (("It", " is."), "none", "It is."),
        (("Sure",), "none", "Sure"),
        ((), "none", ""),
    ],
)
async def test_only_whole_openers_count(
    cache: OpenerCache, pieces: tuple[str, ...], kind: str, rest: str
) -> None:
    opening, left, _ = await begun(cache, *pieces)
    assert (opening.kind, left) == (kind, rest)
    assert bool(opening.audio) is (kind == "hit")


async def test_a_reply_that_begins_otherwise_is_let_go_at_once(cache: OpenerCache) -> None:
    _, _, read = await begun(cache, "S", "o", " it", " is.")
    assert read == 2


async def test_without_openers_nothing_is_read(phrases: PhraseCache) -> None:
    opening, rest, read = await begun(OpenerCache(phrases=phrases, openers=[]), "Sure, it is.")
    assert (opening.kind, rest, read) == ("none", "Sure, it is.", 0)


@given(
    words=st.lists(
        st.sampled_from(["Sure,", "sure", "Okay,", "Of course,", "Of", "course", "it's", "İ", "."]),
        max_size=6,
    ),
    cut=st.integers(1, 5),
)
async def test_no_word_is_lost_or_said_twice(
    cache: OpenerCache, words: list[str], cut: int
) -> None:
    text = " ".join(words)
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    opening, rest, _ = await begun(cache, *pieces)
    said = text[: len(text) - len(rest)].strip().rstrip(",.").lower()
    known = [opener.rstrip(",").lower() for opener in OPENERS]
    assert text.endswith(rest)
    assert (said in known) if opening.kind == "hit" else rest == text


def test_the_model_is_invited_to_vary_them_and_warned_not_to_lie() -> None:
    prompt = instructions(DEFAULT_OPENERS)
    assert all(opener in prompt for opener in DEFAULT_OPENERS)
    assert "twice in a row" in prompt
    assert "Never begin with consent" in prompt
    assert instructions([]) in prompt
    assert "begin with one of these" not in instructions([])
