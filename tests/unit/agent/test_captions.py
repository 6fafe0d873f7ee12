"""Captions show words when they are heard, all of them in the end, and none that never were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from agent.speech.captions import Captions, playout_of
from agent.speech.playout import Playout
from tests import virtual_time
from tests.unit.agent.speaker import RATE, Speaker, silence, voice

TEXT = "One two six ten, and red tea now."
WORDS = TEXT.split()
LETTERS_PER_S = 10.0


async def pieces(*texts: str, every_s: float = 0.0) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(every_s)
        yield text


class Show:
    """What is shown of segments that are played, with the loop's times."""

    def __init__(self) -> None:
        self.playout = Playout(sample_rate=RATE, source=Speaker())
        self.playout.listened_to()
        self.captions = Captions()
        self.shown: list[tuple[float, str]] = []

    @property
    def text(self) -> str:
        return "".join(word for _, word in self.shown)

    def begin(self, text: AsyncIterator[str]) -> asyncio.Task[None]:
        return asyncio.create_task(self._show(self.captions.follow(text, self.playout)))

    async def _show(self, words: AsyncIterator[str]) -> None:
        begun = asyncio.get_running_loop().time()
        async for word in words:
            self.shown.append((asyncio.get_running_loop().time() - begun, word))

    async def say(self, text: str, *, sound: Sequence[float], every_s: float = 0.0) -> None:
        """Play a segment; its sound is voice, silence, voice... of these lengths in seconds."""
        showing = self.begin(pieces(text, every_s=every_s))
        for index, length_s in enumerate(sound):
            await self.playout.capture_frame(silence(length_s) if index % 2 else voice(length_s))
        self.playout.flush()
        _ = await self.playout.wait_for_playout()
        await showing


def play(act: Callable[[Show], Awaitable[None]]) -> Show:
    """Let something be played and shown, in virtual time."""

    async def main() -> Show:
        show = Show()
        await act(show)
        await show.playout.aclose()
        return show

    return virtual_time.run(main())


def letters(text: str) -> int:
    return sum(sign.isalpha() for sign in text)


@pytest.mark.parametrize("length_s", [1.5, 2.5, 6.0])
def test_words_are_shown_as_they_are_heard(length_s: float) -> None:
    async def act(show: Show) -> None:
        await show.say(TEXT, sound=[length_s])

    show = play(act)
    assert show.text == TEXT
    before = 0
    for at_s, word in show.shown:
        middle_s = (before + letters(word) / 2) / letters(TEXT) * length_s
        assert at_s == pytest.approx(middle_s, abs=0.06)
        before += letters(word)


def test_a_pause_in_the_sound_shows_no_words() -> None:
    async def act(show: Show) -> None:
        await show.say(TEXT, sound=[1.2, 3.0, 1.2])

    show = play(act)
    assert show.text == TEXT
    assert not [word for at_s, word in show.shown if 1.3 < at_s < 4.1]
    assert any(at_s < 1.2 for at_s, _ in show.shown)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_who_interrupts_has_seen_what_was_heard(share: float) -> None:
    async def act(show: Show) -> None:
        showing = show.begin(pieces(TEXT))
        await show.playout.capture_frame(voice(2.0))
        show.playout.flush()
        await asyncio.sleep(2.0 * share)
        show.playout.clear_buffer()
        await showing

    show = play(act)
    assert TEXT.startswith(show.text)
    assert letters(show.text) == pytest.approx(share * letters(TEXT), abs=3)


def test_nothing_is_shown_while_the_agent_is_paused() -> None:
    async def act(show: Show) -> None:
        showing = show.begin(pieces(TEXT))
        await show.playout.capture_frame(voice(2.0))
        show.playout.flush()
        await asyncio.sleep(1.0)
        show.playout.pause()
        seen = show.text
        await asyncio.sleep(10.0)
        assert show.text == seen
        show.playout.resume()
        await showing

    assert play(act).text == TEXT


def test_words_without_a_sound_are_not_shown() -> None:
    async def act(show: Show) -> None:
        await show.say("Nobody says this.", sound=[])
        await show.say(TEXT, sound=[1.0])

    assert play(act).text == TEXT


def test_the_pace_is_learned_from_what_the_voice_has_said() -> None:
    """A text that is still being written is shown at the pace of the reply before."""

    async def act(show: Show) -> None:
        await show.say("a" * 30 + " " + "b" * 30, sound=[60 / LETTERS_PER_S])
        show.shown.clear()
        showing = show.begin(pieces("six ten ", "and more", every_s=1.0))
        await asyncio.sleep(1.0)
        await show.playout.capture_frame(voice(3.0))
        await asyncio.sleep(0.4)
        show.playout.clear_buffer()
        await showing

    assert [word for _, word in play(act).shown] == ["six"]


@pytest.mark.parametrize(
    "texts",
    [
        ["Con", "gratul", "ations", ", ", "you won", "."],
        ["  spaces  and\nlines \n"],
        ["Order 42 costs $3.50.", " "],
        ["今日は。", "どうも"],
        ["", "word", ""],
    ],
)
def test_what_is_shown_is_what_was_written(texts: list[str]) -> None:
    async def act(show: Show) -> None:
        showing = show.begin(pieces(*texts, every_s=0.01))
        await show.playout.capture_frame(voice(0.5))
        show.playout.flush()
        await showing
        _ = await show.playout.wait_for_playout()

    show = play(act)
    assert show.text == "".join(texts)
    whole = {"", *"".join(texts).split()}
    assert all(word.strip() in whole for _, word in show.shown if word.isascii())


def test_a_text_that_fails_is_told() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "One "
        raise RuntimeError("no more")

    async def act(show: Show) -> None:
        showing = show.begin(broken())
        await show.playout.capture_frame(voice(0.5))
        show.playout.flush()
        with pytest.raises(RuntimeError, match="no more"):
            await showing

    play(act)


def test_a_console_has_no_playout() -> None:
    assert playout_of(None) is None
