from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, FlushSentinel, llm

from agent.guard.reply import ReplyGuard
from agent.guard.settings import GuardSettings
from agent.speech.phrases import PhraseCache, recorded_apology, recorded_filler
from tests import virtual_time

SETTINGS = GuardSettings()
Chunk = llm.ChatChunk | str | FlushSentinel


@pytest.fixture
def guard(tmp_path: Path) -> ReplyGuard:
    return ReplyGuard(settings=SETTINGS, phrases=PhraseCache(folder=tmp_path, voice="v"))


async def stream(*steps: float | str | Exception) -> AsyncIterator[Chunk]:
    for step in steps:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            yield step
        else:
            await asyncio.sleep(step)


def words(guard: ReplyGuard, *steps: float | str | Exception, turn: str = "t") -> list[object]:
    async def main() -> list[object]:
        guard.committed(turn)
        chunks = guard.words(turn, lambda: stream(*steps))
        return ["<flush>" if isinstance(c, FlushSentinel) else c async for c in chunks]

    return virtual_time.run(main())


def frame(level: int) -> rtc.AudioFrame:
    return rtc.AudioFrame(level.to_bytes(2, "little") * 480, 24_000, 1, 480)


async def audio(*steps: float | int | Exception) -> AsyncIterator[rtc.AudioFrame]:
    for step in steps:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, int):
            yield frame(step)
        else:
            await asyncio.sleep(step)


def spoken(guard: ReplyGuard, text: str, *steps: float | int | Exception) -> list[bytes]:
    async def main() -> list[bytes]:
        frames = guard.audio(stream_text(text), lambda _: audio(*steps))
        return [bytes(f.data) for f in [f async for f in frames]]

    return virtual_time.run(main())


APOLOGY = [bytes(f.data) for f in recorded_apology()]
FILLER = [bytes(f.data) for f in recorded_filler()]


def test_an_answer_in_time_is_only_passed_on(guard: ReplyGuard) -> None:
    assert words(guard, 0.3, "Hello", " there") == ["Hello", " there"]


def test_a_slow_answer_is_announced_as_a_segment_of_its_own(guard: ReplyGuard) -> None:
    assert words(guard, 2.0, "Hello") == [SETTINGS.filler, "<flush>", "Hello"]


@pytest.mark.parametrize(("words_after_s", "announced"), [(2.0, False), (2.2, True)])
def test_who_hears_the_beginning_of_an_answer_waits_from_its_end(
    guard: ReplyGuard, words_after_s: float, announced: bool
) -> None:
    async def main() -> list[object]:
        guard.committed("t")
        chunks = guard.words("t", lambda: stream(words_after_s, "Hello"))
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.3)
        guard.opened([frame(1)] * 30)  # 0.6 s of "Let me see."
        return [await first, *[chunk async for chunk in chunks]]

    assert (virtual_time.run(main())[0] == SETTINGS.filler) is announced


def test_the_filler_comes_once_a_turn_even_with_tools_between(guard: ReplyGuard) -> None:
    async def main() -> list[object]:
        said: list[object] = []
        guard.committed("t")
        for _ in range(2):
            said += [c async for c in guard.words("t", lambda: stream(2.0, "x"))]
        return said

    assert virtual_time.run(main()).count(SETTINGS.filler) == 1


def test_a_failed_answer_is_an_apology(guard: ReplyGuard) -> None:
    assert words(guard, APIConnectionError()) == [SETTINGS.apology]


def test_an_answer_that_breaks_off_is_never_begun_again(guard: ReplyGuard) -> None:
    said = words(guard, "Your lamp", APIConnectionError())
    assert said == ["Your lamp", f" … {SETTINGS.broke_off}"]


def test_after_failures_in_a_row_the_agent_gives_up(guard: ReplyGuard) -> None:
    for _ in range(SETTINGS.max_failed_turns - 1):
        assert words(guard, APIConnectionError()) == [SETTINGS.apology]
        assert not guard.heard_reply()
        assert not guard.exhausted
    assert words(guard, APIConnectionError()) == [SETTINGS.give_up]
    assert guard.exhausted


def test_a_good_reply_makes_good_for_earlier_failures(guard: ReplyGuard) -> None:
    for _ in range(2 * SETTINGS.max_failed_turns):
        words(guard, APIConnectionError())
        guard.heard_reply()
        words(guard, "Hello")
        assert guard.heard_reply()
    assert not guard.exhausted


def test_audio_in_time_is_only_passed_on(guard: ReplyGuard) -> None:
    assert spoken(guard, "Hello.", 0.2, 1, 2) == [bytes(frame(1).data), bytes(frame(2).data)]


def test_a_voice_that_is_gone_leaves_what_is_recorded(guard: ReplyGuard) -> None:
    assert spoken(guard, "Hello.", APIConnectionError()) == APOLOGY
    assert spoken(guard, "Hello.", 60.0, 1) == [*FILLER, *FILLER, *APOLOGY]


def test_a_slow_voice_is_announced_before_it_speaks(guard: ReplyGuard) -> None:
    assert spoken(guard, "Hello.", 2.0, 1) == [*FILLER, bytes(frame(1).data)]


def test_model_and_voice_share_the_time_of_a_turn(guard: ReplyGuard) -> None:
    async def main() -> tuple[list[Chunk], int, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        guard.committed("t")
        text = [c async for c in guard.words("t", lambda: stream(3.0, "Hello."))]
        frames = [f async for f in guard.audio(stream_text("Hello."), lambda _: audio(60.0))]
        return text, len(frames), loop.time() - began

    text, frames, lasted_s = virtual_time.run(main())
    assert text[0] == SETTINGS.filler
    assert frames == len(FILLER) + len(APOLOGY)
    assert lasted_s == pytest.approx(SETTINGS.turn_deadline_s)


def test_the_voice_gets_a_moment_however_late_the_words_came(guard: ReplyGuard) -> None:
    async def main() -> list[rtc.AudioFrame]:
        guard.committed("t")
        _ = [c async for c in guard.words("t", lambda: stream(7.9, "Hello."))]
        return [f async for f in guard.audio(stream_text("Hello."), lambda _: audio(0.5, 1))]

    assert virtual_time.run(main())[-1].data == frame(1).data


def test_a_voice_that_stalls_again_and_again_is_never_silent_for_five_seconds(
    guard: ReplyGuard,
) -> None:
    async def main() -> tuple[list[float], bytes]:
        loop = asyncio.get_running_loop()
        voice = audio(1, 8.0, 2, 60.0)
        heard_until, silences, last = loop.time(), [], b""
        async for piece in guard.audio(stream_text("Hello."), lambda _: voice):
            silences.append(loop.time() - heard_until)
            heard_until = max(heard_until, loop.time()) + piece.duration
            last = bytes(piece.data)
        return silences, last

    silences, last = virtual_time.run(main())
    assert max(silences) < 4.0
    assert last == APOLOGY[-1]


async def stream_text(text: str) -> AsyncIterator[str]:
    yield text


def test_no_text_is_no_audio_and_no_request(guard: ReplyGuard) -> None:
    assert spoken(guard, "", AssertionError("asked")) == []


def test_a_kept_phrase_needs_no_voice(tmp_path: Path) -> None:
    cache = PhraseCache(folder=tmp_path, voice="v")
    cache._memory["One moment, please."] = [frame(7)]
    guard = ReplyGuard(settings=SETTINGS, phrases=cache)
    said = spoken(guard, "One moment, please.", AssertionError("asked"))
    assert said == [bytes(frame(7).data)]
