from __future__ import annotations

import numpy as np
import pytest

from caller.activity import SILENT_DBFS, Span, Utterance, join, level_dbfs, speech_bounds
from tests.unit.caller.sounds import RATE, joined, listen, mixed, noise, silence, tone

ONE_FRAME = pytest.approx(0.0, abs=0.0101)


def test_a_level_is_relative_to_full_scale() -> None:
    assert level_dbfs(tone(0.1, dbfs=-20.0)) == pytest.approx(-20.0, abs=0.1)
    assert level_dbfs(silence(0.1)) == SILENT_DBFS
    assert level_dbfs(np.zeros(0, dtype=np.int16)) == SILENT_DBFS


@pytest.mark.parametrize("start", [0.500, 0.503, 0.5099])
@pytest.mark.parametrize("dbfs", [-10.0, -25.0, -40.0])
def test_onset_and_end_are_within_one_frame(start: float, dbfs: float) -> None:
    sound = joined(silence(start), tone(0.8, dbfs=dbfs), silence(1.0))
    (span,) = listen(sound).spans
    assert span.start - start == ONE_FRAME
    assert span.end - (start + 0.8) == ONE_FRAME


def test_times_are_those_of_the_frames() -> None:
    sound = joined(silence(0.2), tone(0.3), silence(0.3))
    (span,) = listen(sound, start=1000.0).spans
    assert span.start == pytest.approx(1000.2, abs=0.0101)


@pytest.mark.parametrize("floor", [-70.0, -60.0, -52.0])
def test_steady_noise_is_not_sound_and_does_not_move_the_onset(floor: float) -> None:
    speech = joined(silence(4.0), tone(0.5, dbfs=-20.0), silence(1.0))
    activity = listen(mixed(speech, noise(5.5, dbfs=floor)))
    spans = [span for span in activity.spans if span.start > 3.9]
    assert len(spans) == 1
    assert spans[0].start - 4.0 == ONE_FRAME
    assert spans[0].end - 4.5 == ONE_FRAME


def test_noise_below_the_quietest_sound_is_silent_from_the_first_frame() -> None:
    assert listen(noise(3.0, dbfs=-55.0)).spans == []


def test_long_unbroken_speech_is_never_taken_for_noise() -> None:
    sound = joined(silence(0.1), tone(30.0, dbfs=-30.0), silence(0.5))
    (span,) = listen(sound).spans
    assert span.end - 30.1 == ONE_FRAME


def test_a_click_is_not_an_onset() -> None:
    assert listen(joined(silence(0.5), tone(0.02), silence(0.5))).spans == []


def test_a_trill_is_an_onset() -> None:
    trill = joined(*[part for _ in range(3) for part in (tone(0.01), silence(0.01))])
    (span,) = listen(joined(silence(0.5), trill, silence(0.5))).spans
    assert span.start == pytest.approx(0.5, abs=0.0001)


def test_a_soft_beginning_belongs_to_the_word() -> None:
    breath = tone(0.06, dbfs=-54.0)
    (span,) = listen(joined(silence(0.5), breath, tone(0.4), silence(0.5))).spans
    assert span.start - 0.5 == ONE_FRAME


def test_a_long_hum_before_a_word_does_not() -> None:
    hum = tone(2.0, dbfs=-55.0)
    (span,) = listen(joined(silence(0.5), hum, tone(0.4), silence(0.5))).spans
    assert span.start == pytest.approx(2.4, abs=0.02)


def test_a_codec_that_rings_does_not_prolong_the_end() -> None:
    ring = joined(tone(0.01, dbfs=-51.0), tone(0.01, dbfs=-55.0))
    (span,) = listen(joined(silence(0.5), tone(0.4), ring, silence(0.5))).spans
    assert span.end - 0.9 == ONE_FRAME


def test_inner_pauses_belong_to_an_utterance_and_its_end_does_not_come_early() -> None:
    sentence = joined(tone(0.6), silence(0.4))
    sound = joined(silence(0.3), sentence, sentence, tone(0.6), silence(1.0))
    activity = listen(sound)
    whole = activity.utterance(0.0, silence_s=0.7)
    assert whole is not None
    assert whole.start - 0.3 == ONE_FRAME
    assert whole.end - 2.9 == ONE_FRAME
    assert whole.ended

    first = activity.utterance(0.0, silence_s=0.3)
    assert first is not None
    assert first.end - 0.9 == ONE_FRAME


def test_an_utterance_has_not_ended_before_its_silence_is_over() -> None:
    sound = joined(silence(0.3), tone(0.5), silence(0.6))
    utterance = listen(sound).utterance(0.0, silence_s=0.7)
    assert utterance is not None
    assert not utterance.ended
    assert utterance.silence == pytest.approx(0.6, abs=0.0101)


def test_an_utterance_is_looked_for_from_a_time_on() -> None:
    sound = joined(silence(0.5), tone(0.5), silence(1.0), tone(0.5), silence(1.0))
    activity = listen(sound)
    second = activity.utterance(0.6, silence_s=0.7)
    assert second is not None
    assert second.start - 2.0 == ONE_FRAME
    assert activity.utterance(2.6, silence_s=0.7) is None
    assert activity.last_sound_before(1.9) == pytest.approx(0.5, abs=0.0101)
    assert activity.last_sound_before(0.2) == -np.inf


def test_open_sound_is_found_while_it_sounds() -> None:
    activity = listen(joined(silence(0.5), tone(0.3)))
    utterance = activity.utterance(0.0, silence_s=0.7)
    assert utterance is not None
    assert utterance.silence == 0.0
    assert activity.last_sound_before(0.7) == pytest.approx(0.5, abs=0.0101)


def test_a_hole_in_the_frames_is_silence() -> None:
    spans = [Span(1.0, 2.0), Span(5.0, 6.0)]
    utterance = join(spans, 6.0, 0.7)
    assert utterance is not None
    assert (utterance.end, utterance.ended) == (2.0, True)


def test_speech_bounds_leave_outer_silence_out() -> None:
    sound = joined(silence(0.9), tone(0.5), silence(0.2), tone(0.5), silence(1.3))
    bounds = speech_bounds(sound, rate=RATE)
    assert bounds is not None
    assert bounds[0] / RATE - 0.9 == ONE_FRAME
    assert bounds[1] / RATE - 2.1 == ONE_FRAME
    assert speech_bounds(silence(1.0), rate=RATE) is None


def test_a_pause_in_which_the_agent_goes_on_is_an_inner_one() -> None:
    spans = [Span(1.0, 1.5), Span(2.5, 4.0), Span(6.0, 7.0)]
    assert join(spans, 8.0, 0.7) == Utterance(1.0, 1.5, 1.0, ended=True)
    assert join(spans, 8.0, 0.7, going_on=1.5) == Utterance(1.0, 4.0, 2.0, ended=True)
