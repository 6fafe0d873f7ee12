"""The order of speech events, and when an interim has settled. No clock but the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.plugins.aigateway import SettlePolicy
from livekit.plugins.aigateway._codec.stt import Transcript
from livekit.plugins.aigateway._settle import settled
from livekit.plugins.aigateway._utterance import Event, Kind, Utterance

POLICY = SettlePolicy()


def say(text: str, *, final: bool = False, speech_final: bool | None = None) -> Transcript:
    return Transcript(text=text, is_final=final, speech_final=speech_final)


def new(policy: SettlePolicy | None = POLICY) -> Utterance:
    return Utterance(policy=policy, more_within_s=1.0)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind.name for event in events]


def test_the_documented_form_has_one_final_an_utterance() -> None:
    u = new()
    events = [*u.on_transcript(say("hi"), 0.0), *u.on_transcript(say("hi you", final=True), 0.5)]
    assert kinds(events) == ["START", "INTERIM", "FINAL", "END"]
    assert not u.speaking
    assert not u.owed


def test_a_final_inside_an_utterance_waits_for_more() -> None:
    u = new()
    events = [*u.on_transcript(say("one", final=True, speech_final=False), 0.0)]
    events += u.on_tick(0.9, silent_ms=900)
    events += u.on_transcript(say("two", final=True, speech_final=True), 0.95)
    assert kinds(events) == ["START", "FINAL", "FINAL", "END"]


def test_an_utterance_that_gets_no_more_ends_by_itself() -> None:
    u = new()
    list(u.on_transcript(say("one", final=True, speech_final=False), 0.0))
    assert kinds(list(u.on_tick(0.99, silent_ms=0))) == []
    assert kinds(list(u.on_tick(1.0, silent_ms=0))) == ["END"]


def test_an_empty_final_takes_the_interim_back() -> None:
    u = new()
    list(u.on_transcript(say("uh"), 0.0))
    assert kinds(list(u.on_transcript(say("", final=True), 0.3))) == ["END"]


def test_speech_without_words_ends_in_silence() -> None:
    u = new()
    assert kinds(list(u.on_speech_started())) == ["START"]
    assert kinds(list(u.on_tick(1.0, silent_ms=500))) == []
    assert kinds(list(u.on_tick(3.0, silent_ms=2500))) == ["END"]


def test_utterance_end_does_not_swallow_a_final_that_is_owed() -> None:
    u = new()
    list(u.on_transcript(say("one"), 0.0))
    assert kinds(list(u.on_utterance_end())) == []
    assert kinds(list(u.on_transcript(say("one", final=True), 0.2))) == ["FINAL", "END"]


def test_a_repeated_interim_is_not_passed_on() -> None:
    u = new()
    list(u.on_transcript(say("one"), 0.0))
    assert list(u.on_transcript(say("one"), 0.1)) == []


def test_a_final_that_says_the_same_is_a_repeat_unless_somebody_spoke() -> None:
    u = new()
    final = say("yes", final=True)
    list(u.on_transcript(final, 0.0))
    assert u.is_repeat(final, spoken_since_final=False)
    assert not u.is_repeat(final, spoken_since_final=True)
    assert not u.is_repeat(say("no", final=True), spoken_since_final=False)
    list(u.on_transcript(say("yes"), 1.0))
    assert not u.is_repeat(final, spoken_since_final=False)


def test_preflight_once_per_text() -> None:
    u = new()
    list(u.on_transcript(say("book a flight"), 0.0))
    assert kinds(list(u.on_tick(0.05, silent_ms=200))) == []
    assert kinds(list(u.on_tick(0.15, silent_ms=200))) == ["PREFLIGHT"]
    assert kinds(list(u.on_tick(0.25, silent_ms=300))) == []
    list(u.on_transcript(say("book a flight to Rome"), 0.5))
    assert kinds(list(u.on_tick(0.7, silent_ms=200))) == ["PREFLIGHT"]


def test_preflight_off() -> None:
    u = new(None)
    list(u.on_transcript(say("done."), 0.0))
    assert list(u.on_tick(9.0, silent_ms=9000)) == []


def test_the_last_interim_stands_in_for_a_final_that_never_came() -> None:
    u = new()
    list(u.on_transcript(say("one two"), 0.0))
    promoted, events = u.on_input_exhausted()
    assert promoted
    assert kinds(events) == ["FINAL", "END"]
    assert u.on_input_exhausted() == (False, [])


@pytest.mark.parametrize(
    ("text", "unchanged_ms", "silent_ms", "expected"),
    [
        ("book a flight", 100, 160, True),
        ("book a flight", 99, 500, False),
        ("book a flight", 500, 100, False),
        ("book a flight", 800, 0, True),
        ("Book a flight.", 0, 120, True),
        ("Book a flight.", 0, 60, False),
        ("Book a...", 0, 120, False),
        ("はい。", 0, 120, True),
        ("   ", 9999, 9999, False),
    ],
)
def test_settled(text: str, unchanged_ms: float, silent_ms: float, expected: bool) -> None:
    assert settled(text, unchanged_ms=unchanged_ms, silent_ms=silent_ms, policy=POLICY) is expected


STEPS = st.one_of(
    st.builds(
        say,
        st.sampled_from(["", "a", "b", "a b."]),
        final=st.booleans(),
        speech_final=st.sampled_from([None, True, False]),
    ),
    st.sampled_from(["started", "end", "tick"]),
)


@given(st.lists(st.tuples(STEPS, st.floats(0, 2))))
def test_any_server_gives_a_good_order(steps: list[tuple[Transcript | str, float]]) -> None:
    u = new()
    now = 0.0
    events: list[Event] = []
    for step, passed in steps:
        now += passed
        if isinstance(step, Transcript):
            events += u.on_transcript(step, now)
        elif step == "started":
            events += u.on_speech_started()
        elif step == "end":
            events += u.on_utterance_end()
        else:
            events += u.on_tick(now, silent_ms=passed * 1000)
    events += u.on_input_exhausted()[1]
    speaking = False
    last: Event | None = None
    for event in events:
        if event.kind is Kind.START:
            assert not speaking
            speaking = True
        else:
            assert speaking
            speaking = event.kind is not Kind.END
        if event.kind in (Kind.INTERIM, Kind.PREFLIGHT, Kind.FINAL):
            assert event.transcript is not None
            assert event.transcript.text
        if event.kind is Kind.PREFLIGHT and last is not None and last.kind is Kind.PREFLIGHT:
            raise AssertionError("two preflights without an interim between them")
        last = event
    assert not speaking


def texts(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.kind.name, e.transcript.text) for e in events if e.transcript is not None]


def preflighted(text: str) -> Utterance:
    u = new()
    list(u.on_transcript(say(text), 0.0))
    assert texts(list(u.on_tick(0.2, silent_ms=200))) == [("PREFLIGHT", text)]
    return u


def test_a_reply_to_the_same_words_is_not_asked_for_twice() -> None:
    u = preflighted("will it rain")
    events = [*u.on_transcript(say("Will it rain?"), 0.3), *u.on_tick(0.6, silent_ms=600)]
    events += u.on_transcript(say("Will it rain?", final=True), 0.7)
    assert texts(events) == [("INTERIM", "Will it rain?"), ("FINAL", "will it rain")]


def test_a_final_with_other_words_is_passed_on_as_it_is() -> None:
    u = preflighted("will it rain")
    events = list(u.on_transcript(say("Will it rain today?", final=True), 0.7))
    assert texts(events) == [("FINAL", "Will it rain today?")]


def test_a_reply_that_was_thrown_away_is_begun_anew_when_its_words_come_back() -> None:
    u = preflighted("will it rain")
    list(u.on_transcript(say("will it rainbow"), 0.3))
    events = list(u.on_transcript(say("Will it rain?", final=True), 0.7))
    assert texts(events) == [("PREFLIGHT", "Will it rain?"), ("FINAL", "Will it rain?")]


def test_the_next_utterance_starts_without_the_last_ones_preflight() -> None:
    u = preflighted("will it rain")
    list(u.on_transcript(say("will it rain", final=True), 0.5))
    assert texts(list(u.on_transcript(say("Will it rain?", final=True), 9.0))) == [
        ("FINAL", "Will it rain?")
    ]


def test_words_that_go_on_are_waited_for_and_words_that_end_are_not() -> None:
    def settles(text: str, *, unchanged_ms: float, silent_ms: float) -> bool:
        return settled(text, unchanged_ms=unchanged_ms, silent_ms=silent_ms, policy=POLICY)

    assert settles("Is it?", unchanged_ms=0, silent_ms=100)
    assert not settles("it is", unchanged_ms=0, silent_ms=300)
    assert settles("it is", unchanged_ms=100, silent_ms=160)
    assert not settles("it is,", unchanged_ms=700, silent_ms=700)
    assert settles("it is,", unchanged_ms=800, silent_ms=0)
