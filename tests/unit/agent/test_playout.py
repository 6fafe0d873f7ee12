"""What is said is played whole and in order, and falls silent at once without losing a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from agent.speech.playout import Playback, Playout
from tests import virtual_time
from tests.unit.agent.speaker import RATE, Speaker, frame, voice

PIECE_S = 0.05
BLOCK = RATE // 100 * 2


class Room:
    """A playout that plays on a speaker, with somebody listening."""

    def __init__(self) -> None:
        self.speaker = Speaker()
        self.playout = Playout(sample_rate=RATE, source=self.speaker)
        self.finished: list[PlaybackFinishedEvent] = []
        self.started = 0
        self.playout.on("playback_finished", self.finished.append)
        self.playout.on("playback_started", lambda _: self._count())
        self.playout.listened_to()

    def _count(self) -> None:
        self.started += 1

    async def say(self, seconds: float) -> bytes:
        """Take in a whole segment, faster than it is played, as from an engine."""
        sound = voice(seconds)
        samples = np.frombuffer(sound.data, dtype=np.int16)
        for start in range(0, len(samples), round(PIECE_S * RATE)):
            await self.playout.capture_frame(frame(samples[start : start + round(PIECE_S * RATE)]))
        self.playout.flush()
        return bytes(sound.data)


def play(act: Callable[[Room], Awaitable[None]]) -> Room:
    """Let something happen in a room, in virtual time."""

    async def main() -> Room:
        room = Room()
        await act(room)
        await room.playout.aclose()
        return room

    return virtual_time.run(main())


def test_a_segment_is_played_whole_and_reported() -> None:
    said: list[bytes] = []

    async def act(room: Room) -> None:
        said.append(await room.say(1.234))
        event = await room.playout.wait_for_playout()
        assert event.playback_position == pytest.approx(1.24)
        assert not event.interrupted

    room = play(act)
    assert room.started == len(room.finished) == 1
    heard = bytes(room.speaker.played)
    assert heard.startswith(said[0])
    assert len(heard) % BLOCK == 0, "a rest would be heard before the next segment"
    assert not any(heard[len(said[0]) :])
    assert room.speaker.closed


@pytest.mark.parametrize("after_s", [0.03, 0.33, 0.71, 0.95])
def test_a_pause_is_silent_at_once_and_loses_nothing(after_s: float) -> None:
    said: list[bytes] = []

    async def act(room: Room) -> None:
        said.append(await room.say(1.0))
        await asyncio.sleep(after_s)
        room.playout.pause()
        heard = len(room.speaker.played)
        assert heard == pytest.approx(after_s * RATE * 2, abs=4)
        await asyncio.sleep(3.0)
        assert len(room.speaker.played) == heard
        room.playout.resume()
        event = await room.playout.wait_for_playout()
        assert event.playback_position == pytest.approx(1.0)

    room = play(act)
    assert bytes(room.speaker.played) == said[0]


def test_pauses_one_after_the_other_lose_nothing() -> None:
    said: list[bytes] = []

    async def act(room: Room) -> None:
        said.append(await room.say(2.0))
        for _ in range(12):
            await asyncio.sleep(0.13)
            room.playout.pause()
            room.playout.pause()
            await asyncio.sleep(0.004)
            room.playout.resume()
        _ = await room.playout.wait_for_playout()

    assert bytes(play(act).speaker.played) == said[0]


WORD_S, GAP_S = 0.3, 0.06


def words(count: int) -> rtc.AudioFrame:
    word, gap = np.frombuffer(voice(WORD_S).data, dtype=np.int16), np.zeros(round(GAP_S * RATE))
    return frame(np.concatenate([part for _ in range(count) for part in (word, gap)]))


def test_a_word_that_was_cut_is_said_again_but_not_a_third_time() -> None:
    sound = words(4)
    said, word = bytes(sound.data), round((WORD_S + GAP_S) * RATE) * 2
    heard: list[int] = []

    async def act(room: Room) -> None:
        await room.playout.capture_frame(sound)
        room.playout.flush()
        for lasts_s in (WORD_S + GAP_S + 0.22, 0.25):
            await asyncio.sleep(lasts_s)
            room.playout.pause()
            await asyncio.sleep(0.5)
            heard.append(len(room.speaker.played))
            room.playout.resume()
            room.playout.resume()
        event = await room.playout.wait_for_playout()
        assert event.playback_position == pytest.approx(len(said) / 2 / RATE, abs=0.01)

    played = bytes(play(act).speaker.played)
    first, second = heard
    begins = played[first:second]
    assert played[:first] == said[:first]
    start = said.index(begins)
    assert word - round(GAP_S * RATE) * 2 <= start <= word, "from the gap before the second word"
    assert played[second:].startswith(said[start + len(begins) :])


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_an_interruption_tells_what_was_heard(*, paused: bool, whole: bool) -> None:
    async def act(room: Room) -> None:
        if whole:
            _ = await room.say(2.0)
        else:
            await room.playout.capture_frame(voice(2.0))
        await asyncio.sleep(0.5)
        if paused:
            room.playout.pause()
            await asyncio.sleep(0.5)
        room.playout.clear_buffer()
        room.playout.clear_buffer()
        event = await room.playout.wait_for_playout()
        assert event.interrupted
        assert event.playback_position == pytest.approx(0.5, abs=0.001)
        room.playout.resume()
        await asyncio.sleep(5.0)

    room = play(act)
    assert len(room.speaker.played) == pytest.approx(RATE, abs=4)
    assert len(room.finished) == 1


def test_what_is_said_next_follows_an_interruption_at_once_and_whole() -> None:
    said: list[bytes] = []

    async def act(room: Room) -> None:
        _ = await room.say(2.0)
        await asyncio.sleep(0.5)
        room.playout.clear_buffer()
        before = len(room.speaker.played)
        said.append(await room.say(0.5))
        _ = await room.playout.wait_for_playout()
        assert bytes(room.speaker.played[before:]) == said[0]

    room = play(act)
    assert [event.interrupted for event in room.finished] == [True, False]


def test_segments_wait_for_each_other() -> None:
    said: list[bytes] = []

    async def act(room: Room) -> None:
        said.append(await room.say(0.5))
        said.append(await room.say(0.5))  # waits
        assert len(room.finished) == 1
        _ = await room.playout.wait_for_playout()

    room = play(act)
    assert bytes(room.speaker.played) == b"".join(said)
    assert [event.playback_position for event in room.finished] == pytest.approx([0.5, 0.5])


def test_what_comes_slowly_is_played_as_it_comes() -> None:
    async def act(room: Room) -> None:
        for _ in range(10):
            await room.playout.capture_frame(voice(0.05))
            await asyncio.sleep(0.1)
        room.playout.flush()
        event = await room.playout.wait_for_playout()
        assert event.playback_position == pytest.approx(0.5)

    assert len(play(act).speaker.played) == RATE


def test_a_crumb_waits_for_more_but_not_for_ever() -> None:
    async def act(room: Room) -> None:
        await room.playout.capture_frame(voice(0.01))
        await asyncio.sleep(1.0)
        assert not room.started
        room.playout.flush()
        _ = await room.playout.wait_for_playout()

    assert play(act).started == 1


def test_a_segment_without_sound_is_over_and_nobody_waits_for_it() -> None:
    async def act(room: Room) -> None:
        segment = room.playout.coming
        room.playout.flush()
        assert segment.over
        assert segment.cut
        assert room.playout.coming is not segment
        _ = await room.playout.wait_for_playout()

    assert play(act).finished == []


def test_nothing_is_played_before_somebody_listens() -> None:
    async def main() -> None:
        speaker = Speaker()
        playout = Playout(sample_rate=RATE, source=speaker)
        saying = asyncio.create_task(playout.capture_frame(voice(0.5)))
        await asyncio.sleep(1.0)
        assert not saying.done()
        playout.listened_to()
        await saying
        playout.flush()
        _ = await playout.wait_for_playout()
        await playout.aclose()
        assert len(speaker.played) == RATE

    virtual_time.run(main())


def test_a_source_that_fails_leaves_nobody_waiting() -> None:
    async def act(room: Room) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the task's failure
        room.speaker.fails = True
        _ = await room.say(0.5)
        event = await room.playout.wait_for_playout()
        assert event.interrupted

    _ = play(act)


def test_a_long_segment_keeps_only_its_newest_sound() -> None:
    segment = Playback(sample_rate=RATE)
    for _ in range(600):
        segment.push(voice(0.1))
        _ = segment.take()
    assert segment.given_s == pytest.approx(60.0)
    segment.take_back(30.0)
    assert 58.5 < segment.given_s < 59.5
