from __future__ import annotations

from gateway.speech.endpointer import Boundary, Endpointer, EndpointerConfig

CONFIG = EndpointerConfig(threshold=0.5, pause_frames=3, end_frames=6)


def _run(probabilities: list[float], config: EndpointerConfig = CONFIG) -> list[str]:
    endpointer = Endpointer(config)
    found = []
    for frame, probability in enumerate(probabilities):
        boundary = endpointer.push(probability)
        if boundary is not None:
            found.append(f"{boundary.value}@{frame}")
    return found


def test_times_round_up_to_whole_frames() -> None:
    config = EndpointerConfig.from_ms(threshold=0.5, pause_ms=120, end_ms=300, frame_ms=32)
    assert (config.pause_frames, config.end_frames) == (4, 10)
    endless = EndpointerConfig.from_ms(threshold=0.5, pause_ms=1, end_ms=None, frame_ms=32)
    assert (endless.pause_frames, endless.end_frames) == (1, None)


def test_one_utterance() -> None:
    assert _run([0, 0, 0.9, 0.9, 0.9] + [0] * 8) == ["onset@3", "pause@7", "end@10"]


def test_a_click_is_not_an_onset() -> None:
    assert _run([0, 0.9, 0, 0.9, 0, 0]) == []


def test_speech_after_a_pause_goes_on() -> None:
    assert _run([0.9] * 2 + [0] * 4 + [0.9] + [0] * 6) == [
        "onset@1",
        "pause@4",
        "resume@6",
        "pause@9",
        "end@12",
    ]


def test_hysteresis_holds_speech_but_does_not_resume_it() -> None:
    assert _run([0.9, 0.9, 0.4, 0.4, 0.4, 0.4]) == ["onset@1"]
    assert _run([0.9, 0.9, 0, 0, 0, 0.4, 0.4, 0.4]) == ["onset@1", "pause@4", "end@7"]


def test_without_an_end_silence_only_pauses() -> None:
    config = EndpointerConfig(threshold=0.5, pause_frames=3, end_frames=None)
    assert _run([0.9] * 2 + [0] * 50, config) == ["onset@1", "pause@4"]


def test_end_before_the_pause_wins() -> None:
    config = EndpointerConfig(threshold=0.5, pause_frames=4, end_frames=2)
    assert _run([0.9] * 2 + [0] * 5, config) == ["onset@1", "end@3"]


def test_reset_forgets_the_utterance() -> None:
    endpointer = Endpointer(CONFIG)
    endpointer.push(0.9)
    assert endpointer.push(0.9) is Boundary.ONSET
    endpointer.reset()
    assert not endpointer.in_speech
    assert endpointer.push(0.9) is None
    assert endpointer.push(0.9) is Boundary.ONSET
