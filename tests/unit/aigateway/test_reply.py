"""Clauses, the script of a reply, and the verdicts about its audio. No clock but the test's."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins.aigateway import ClauseTokenizer, TTSTimeouts
from livekit.plugins.aigateway._ending import Progress, Verdict
from livekit.plugins.gatewaykit.clauses import cut_to_size
from livekit.plugins.gatewaykit.script import Script, SpeakingPace, spoken_letters, unspoken

# -- clauses -------------------------------------------------------------------------------------


async def clauses(*tokens: str) -> list[str]:
    """What comes out before the input ends, then ``|``, then the rest."""
    stream = ClauseTokenizer().stream()
    for token in tokens:
        stream.push_text(token)
    stream.push_text("")
    before = stream._event_ch.qsize()
    stream.end_input()
    out = [data.token async for data in stream]
    return [*out[:before], "|", *out[before:]]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Your order", " has", " shipped."], ["Your order has shipped.", "|"]),
        (["Hi", "! How", " are you", "?"], ["Hi!", "How are you?", "|"]),
        (["It costs 3", ".", "14 euros", "."], ["It costs 3.14 euros.", "|"]),
        (["It is 3."], ["|", "It is 3."]),
        (["Dr", ". Smith is in."], ["Dr. Smith is in.", "|"]),
        (["Ask J. Smith."], ["Ask J. Smith.", "|"]),
        (["Write to anna@example", ".", "com now."], ["Write to anna@example.com now.", "|"]),
        (["Fruit, e", ".", "g", ". apples."], ["Fruit,", "e.g. apples.", "|"]),
        (['He said "No."', " Then left."], ['He said "No."', "Then left.", "|"]),
        (["Well", "..", ". yes."], ["Well...", "yes.", "|"]),
        (["no end"], ["|", "no end"]),
        (["好的。", "再见"], ["好的。", "|", "再见"]),
        (["...", " ", "?"], ["|", "... ?"]),
        ([""], ["|"]),
    ],
)
async def test_clauses(tokens: list[str], expected: list[str]) -> None:
    assert await clauses(*tokens) == expected


async def test_endless_text_is_cut_at_white_space() -> None:
    out = await clauses(*["word "] * 1000)
    assert max(map(len, out)) <= 600
    assert " ".join(part for part in out if part != "|").split() == ["word"] * 1000


@given(st.lists(st.text(alphabet='ab1 .?!,"@\n', max_size=8), max_size=20))
def test_no_letter_is_lost_or_moved(tokens: list[str]) -> None:
    out = asyncio.run(clauses(*tokens))
    said = "".join(part for part in out if part != "|")
    assert [c for c in said if c.isalnum()] == [c for c in "".join(tokens) if c.isalnum()]


@given(st.text(max_size=300), st.integers(1, 40))
def test_pieces_fit(text: str, maximum: int) -> None:
    pieces = cut_to_size(text, maximum)
    assert all(len(piece) <= maximum for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


# -- the script ----------------------------------------------------------------------------------


def test_digits_and_signs_take_the_time_of_their_words() -> None:
    assert spoken_letters("abc", pause=0) == 3
    assert spoken_letters("12", pause=0) == 8
    assert spoken_letters("a@b.c", pause=0) == 3 + 3 + 3
    assert spoken_letters("end.", pause=0) == 3
    assert spoken_letters("你", pause=0) == 3


@pytest.mark.parametrize(
    ("heard", "rest"),
    [
        (0, "one two three"),
        (1, "two three"),
        (2, "three"),
        (4, "three"),
        (5, ""),
        (99, ""),
    ],
)
def test_a_clause_goes_on_at_the_next_word(heard: float, rest: str) -> None:
    assert unspoken("one two three", heard) == rest


async def script_of(*texts: str, limit: int = 600) -> Script:
    script = Script(max_clause_chars=limit)
    for text in texts:
        script.add(text)
    return script


async def test_a_script_resumes_in_the_clause_that_was_cut() -> None:
    script = await script_of("Alpha bravo.", "Charlie delta echo.", "Foxtrot.")
    script.end()
    at = script.resume(0, 3, spoken_letters("Alpha bravo.") + 4)
    assert at == 1
    assert await script.get(1) == "delta echo."
    assert await script.get(2) == "Foxtrot."
    assert await script.get(3) is None


async def test_a_script_that_was_heard_out_has_nothing_left() -> None:
    script = await script_of("Alpha bravo.")
    script.end()
    assert await script.get(script.resume(0, 1, 15)) is None


async def test_a_script_leaves_out_what_cannot_be_said_and_cuts_what_is_too_long() -> None:
    script = await script_of("...", "  ", "one two three four", limit=9)
    script.end()
    parts = [await script.get(i) for i in range(3)]
    assert parts == ["one two", "three", "four"] or parts[0] == "one two"


async def test_waiting_for_a_clause() -> None:
    script = await script_of()
    waiting = asyncio.create_task(script.get(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    script.add("Now.")
    assert await waiting == "Now."


def test_the_pace_is_learnt_from_replies_long_enough() -> None:
    pace = SpeakingPace()
    pace.observe(letters=3, audio_s=60.0)
    assert pace.ms_per_letter == 65.0
    for _ in range(20):
        pace.observe(letters=100, audio_s=9.0)
    assert pace.known
    assert pace.ms_per_letter == pytest.approx(90.0, abs=0.5)
    assert pace.letters_in(0.9) == pytest.approx(10.0, abs=0.1)


# -- the end -------------------------------------------------------------------------------------

T = TTSTimeouts(first_audio_s=1.5, inter_chunk_s=1.0, quiet_s=0.25)
BYTES_PER_S = 48000.0


def progress(*, known: bool = False) -> Progress:
    return Progress(timeouts=T, ms_per_letter=50.0, bytes_per_s=BYTES_PER_S, pace_known=known)


def audio(p: Progress, seconds: float, at: float) -> None:
    p.on_audio(int(seconds * BYTES_PER_S), at)


def test_nothing_to_say_is_done_at_once() -> None:
    p = progress()
    assert p.verdict(0.0) is Verdict.WAIT
    p.on_input_ended()
    assert p.verdict(0.0) is Verdict.DONE


def test_no_first_audio_is_a_stall() -> None:
    p = progress()
    p.on_text(20, 10.0)
    assert p.verdict(11.4) is Verdict.WAIT
    assert p.verdict(11.5) is Verdict.STALLED


def test_quiet_counts_from_the_end_of_the_audio_not_of_its_arrival() -> None:
    p = progress()
    p.on_text(20, 0.0)
    p.on_input_ended()
    audio(p, 1.0, 0.2)  # all of it at once, and it plays until 1.2
    assert p.verdict(1.44) is Verdict.WAIT
    assert p.verdict(1.46) is Verdict.DONE


def test_too_little_audio_is_a_stall_and_not_an_end() -> None:
    p = progress()
    p.on_text(40, 0.0)  # 2 s expected
    p.on_input_ended()
    audio(p, 0.5, 0.2)
    assert p.verdict(1.6) is Verdict.WAIT
    assert p.verdict(1.71) is Verdict.STALLED


def test_a_stall_is_not_declared_while_there_is_audio_to_play() -> None:
    p = progress()
    p.on_text(200, 0.0)  # 10 s expected
    p.on_input_ended()
    audio(p, 5.0, 0.2)
    assert p.verdict(6.1) is Verdict.WAIT
    assert p.verdict(6.21) is Verdict.STALLED


def test_a_late_answer_to_a_later_text_is_no_stall_while_there_is_audio_to_play() -> None:
    p = progress()
    p.on_text(100, 0.0)
    audio(p, 5.0, 0.2)
    p.on_text(20, 0.3)
    p.on_input_ended()
    assert p.verdict(6.1) is Verdict.WAIT
    assert p.verdict(6.21) is Verdict.STALLED


def test_doubtful_audio_is_given_more_time_and_none_once_the_pace_is_known() -> None:
    for known, expected in ((False, Verdict.DONE), (True, Verdict.STALLED)):
        p = progress(known=known)
        p.on_text(40, 0.0)
        p.on_input_ended()
        audio(p, 1.4, 0.2)  # 70 % of what is expected
        assert p.verdict(2.0 if not known else 1.0) is Verdict.WAIT
        assert p.verdict(2.61) is expected


def test_slow_text_is_waited_for() -> None:
    p = progress()
    p.on_text(20, 0.0)
    audio(p, 1.0, 0.2)
    assert p.verdict(1000.0) is Verdict.WAIT
    p.on_text(20, 1000.0)
    assert p.verdict(1001.0) is Verdict.WAIT
    assert p.verdict(1001.5) is Verdict.STALLED


def test_a_marker_for_every_text_ends_it_at_once() -> None:
    p = progress()
    p.on_text(20, 0.0)
    p.on_text(20, 0.0)
    audio(p, 2.0, 0.1)
    p.on_text_done()
    p.on_input_ended()
    assert p.verdict(0.2) is Verdict.WAIT
    p.on_text_done()
    assert p.marked
    assert p.verdict(0.2) is Verdict.DONE


def test_markers_before_the_input_ends_count() -> None:
    p = progress()
    p.on_text(20, 0.0)
    audio(p, 1.0, 0.1)
    p.on_text_done()
    assert p.verdict(100.0) is Verdict.WAIT
    p.on_input_ended()
    assert p.verdict(100.0) is Verdict.DONE


def test_one_done_ends_everything_only_when_it_answers_our_end() -> None:
    for end_was_sent, expected in ((True, Verdict.DONE), (False, Verdict.WAIT)):
        p = progress()
        p.on_text(20, 0.0)
        p.on_text(20, 0.0)
        audio(p, 2.0, 0.1)
        p.on_input_ended()
        p.on_stream_done(end_was_sent=end_was_sent)
        assert p.verdict(0.2) is expected


def test_a_close_is_the_end_only_after_enough_audio() -> None:
    p = progress()
    p.on_text(20, 0.0)
    audio(p, 0.3, 0.1)
    p.on_input_ended()
    assert not p.ends_with_close(normal=True)
    audio(p, 0.7, 0.2)
    assert p.ends_with_close(normal=True)
    assert not p.ends_with_close(normal=False)
