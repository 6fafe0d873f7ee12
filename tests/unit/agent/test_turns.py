"""The turn detector: whom it asks, what it waits for, and what it does not wait for."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit import rtc
from livekit.agents import UserStateChangedEvent, llm
from livekit.agents.voice.turn import TurnDetectionEvent

from agent.config import Settings, TurnSettings
from agent.turns import TurnDetector, last_user_text, turn_handling

QUESTION = "what time does it open"
STATEMENT = "the shoes were too small"
SETTINGS = TurnSettings(finished_s=0.2, likely_s=0.35, unsure_s=0.6, free_wait_s=0.8)
LIKELY = 0.36
SOON_S = 5.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Model:
    """A turn model that answers what it was told to, or never."""

    def __init__(self, probability: float | None) -> None:
        self._probability = probability
        self.asked = 0
        self.flushed = 0
        self.heard = 0
        self.closed = False

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self.heard += 1

    def predict(self) -> asyncio.Future[TurnDetectionEvent]:
        self.asked += 1
        answer: asyncio.Future[TurnDetectionEvent] = asyncio.get_running_loop().create_future()
        if self._probability is not None:
            answer.set_result(
                TurnDetectionEvent(
                    type="eot_prediction",
                    end_of_turn_probability=self._probability,
                    last_speaking_time=0.0,
                )
            )
        return answer

    def flush(self, reason: str | None = None) -> None:
        self.flushed += 1

    async def unlikely_threshold(self, language: object) -> float | None:
        return LIKELY

    async def aclose(self) -> None:
        self.closed = True


def detector_of(
    clock: Clock, model: Model | None = None, settings: TurnSettings = SETTINGS
) -> TurnDetector:
    """A detector whose caller fell silent just now, with the model listening."""
    detector = TurnDetector(
        settings=settings, open_model=(lambda: model) if model else None, clock=clock
    )
    detector.hear(
        rtc.AudioFrame.create(sample_rate=16_000, num_channels=1, samples_per_channel=320)
    )
    detector.ended_at = clock.now
    return detector


def heard(text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=text)
    return context


async def over_after(detector: TurnDetector, clock: Clock, text: str, silence_s: float) -> bool:
    """Whether the turn counts as over at once, this long into the silence."""
    clock.now += silence_s
    deciding = asyncio.create_task(detector.predict_end_of_turn(heard(text)))
    for _ in range(20):
        await asyncio.sleep(0)
    over = deciding.done()
    deciding.cancel()
    await asyncio.wait([deciding])
    clock.now -= silence_s
    return over


@pytest.mark.parametrize(
    ("text", "probability", "wait_s", "asked"),
    [
        (QUESTION, 0.0, 0.2, False),
        (STATEMENT, 0.9, 0.35, True),
        (STATEMENT, 0.1, 0.6, True),
    ],
)
async def test_the_model_is_asked_only_where_the_words_leave_it_open(
    text: str, probability: float, wait_s: float, asked: bool
) -> None:
    clock, model = Clock(), Model(probability)
    detector = detector_of(clock, model)
    assert not await over_after(detector, clock, text, wait_s - 0.01)
    assert await over_after(detector, clock, text, wait_s + 0.01)
    assert (model.asked > 0) is asked
    await detector.aclose()
    assert model.closed


@pytest.mark.parametrize(
    ("probability", "spoke_on_s", "asked"),
    [
        (0.9, 0.0, 1),  # its word is there when the pause is certain
        (0.1, 0.0, 2),  # it knows better by then
        (0.9, 0.1, 2),  # it had judged what was not yet the end
    ],
)
async def test_the_model_is_asked_as_soon_as_a_reply_is_begun_ahead(
    probability: float, spoke_on_s: float, asked: int
) -> None:
    clock, model = Clock(), Model(probability)
    detector = detector_of(clock, model, SETTINGS.model_copy(update={"judge_after_s": 0.0}))
    reply = detector.reply_asked(STATEMENT)
    detector.reply_over(reply)
    while not model.asked:
        await asyncio.sleep(0)
    clock.now += spoke_on_s
    detector.ended_at = clock.now
    await over_after(detector, clock, STATEMENT, 1.0)
    assert model.asked == asked


@pytest.mark.parametrize("text", [QUESTION, ""])
async def test_where_the_words_decide_the_model_is_not_asked_ahead(text: str) -> None:
    clock, model = Clock(), Model(0.9)
    detector = detector_of(clock, model, SETTINGS.model_copy(update={"judge_after_s": 0.0}))
    detector.reply_asked(text)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not model.asked


async def test_a_model_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.turns._MODEL_TIMEOUT_S", 0.0)
    clock = Clock()
    detector = detector_of(clock, Model(None))
    clock.now += SETTINGS.unsure_s + 0.01
    async with asyncio.timeout(SOON_S):
        assert await detector.predict_end_of_turn(heard(STATEMENT)) == 1.0


async def test_the_turn_stays_open_until_the_reply_ahead_has_words() -> None:
    clock = Clock()
    detector = detector_of(clock)
    reply = detector.reply_asked()
    assert not await over_after(detector, clock, QUESTION, 0.5)
    clock.now += 0.45
    deciding = asyncio.create_task(detector.predict_end_of_turn(heard(QUESTION)))
    await asyncio.sleep(0)
    assert not deciding.done()
    detector.reply_begun(reply)
    async with asyncio.timeout(SOON_S):
        assert await deciding == 1.0


async def test_a_reply_that_can_begin_without_the_model_does_not_wait_for_it() -> None:
    clock = Clock()
    detector = detector_of(clock)
    reply = detector.reply_asked(acknowledges=True)
    waiting = asyncio.create_task(detector.caller_waits(reply))
    assert not await over_after(detector, clock, QUESTION, SETTINGS.acknowledge_after_s - 0.01)
    assert not waiting.done()
    clock.now += SETTINGS.acknowledge_after_s + 0.01
    async with asyncio.timeout(SOON_S):
        await detector.predict_end_of_turn(heard(QUESTION))
        await waiting


async def test_a_model_that_was_asked_late_gets_a_moment_before_it_is_done_without() -> None:
    clock = Clock()
    detector = detector_of(clock)
    clock.now += 0.5
    detector.reply_asked(acknowledges=True)
    assert not await over_after(detector, clock, QUESTION, 0.05)
    assert await over_after(detector, clock, QUESTION, 0.15)


async def test_the_turn_is_over_a_head_start_before_the_usual_time_of_first_words() -> None:
    clock = Clock()
    detector = detector_of(clock)
    first = detector.reply_asked()
    clock.now += 0.4
    detector.reply_begun(first)
    detector.reply_over(first)
    detector.ended_at = clock.now
    detector.reply_asked()
    expected_s = 0.4 - SETTINGS.head_start_s
    assert not await over_after(detector, clock, QUESTION, expected_s - 0.01)
    assert await over_after(detector, clock, QUESTION, expected_s + 0.01)


async def test_a_reply_that_was_thrown_away_is_not_waited_for() -> None:
    clock = Clock()
    detector = detector_of(clock)
    detector.reply_over(detector.reply_asked())
    assert await over_after(detector, clock, QUESTION, 0.21)


async def test_an_older_replys_end_does_not_touch_the_newer_one() -> None:
    clock = Clock()
    detector = detector_of(clock)
    older = detector.reply_asked()
    detector.reply_asked()
    detector.reply_over(older)
    assert not await over_after(detector, clock, QUESTION, 0.5)


def test_silence_is_counted_from_when_the_speech_had_ended() -> None:
    clock = Clock()
    detector = TurnDetector(settings=SETTINGS, clock=clock)
    ended = UserStateChangedEvent(
        old_state="speaking", new_state="listening", created_at=time.time() - 0.2
    )
    detector._on_user_state(ended)
    assert detector.ended_at == pytest.approx(clock.now - 0.2, abs=0.05)
    detector._on_user_state(UserStateChangedEvent(old_state="listening", new_state="speaking"))
    assert detector.ended_at is None


def test_only_words_of_the_caller_that_end_the_context_are_judged() -> None:
    context = heard(QUESTION)
    assert last_user_text(context) == QUESTION
    context.add_message(role="assistant", content="At nine.")
    assert last_user_text(context) == ""
    assert last_user_text(llm.ChatContext.empty()) == ""


def test_the_framework_neither_waits_nor_calls_home() -> None:
    detector = TurnDetector(settings=SETTINGS)
    options = turn_handling(Settings(turn=SETTINGS), detector)
    assert options["turn_detection"] is detector
    assert options["endpointing"]["min_delay"] == 0
    assert options["interruption"]["mode"] == "vad"
    assert options["preemptive_generation"]["preemptive_tts"] is True
