"""Turns: when the caller has finished, what is generated ahead of that, and what interrupts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import (
    AgentSession,
    EndpointingOptions,
    InterruptionOptions,
    TurnHandlingOptions,
    UserStateChangedEvent,
    inference,
    llm,
)
from livekit.agents import PreemptiveGenerationOptions as PreemptiveOptions
from livekit.agents import vad as lk_vad
from livekit.agents.language import LanguageCode
from livekit.agents.voice.turn import TurnDetectionEvent
from livekit.plugins import silero

from .commit import Evidence, commit_delay
from .config import Settings, TurnSettings
from .words import Outlook, outlook

logger = logging.getLogger("parley.turns")

_MODEL_TIMEOUT_S = 0.5
"""The turn model answers in 20 ms; a busy machine gets some more."""

_LEARNING_RATE = 0.3
"""Weight of the newest reply in what is known of the model's usual time."""

_GRACE_S = 0.1
"""A model that answers so soon is not preceded by an acknowledgement, however late it was asked."""

_SEGMENT_SILENCE_S = 0.25
"""The least silence between two stretches of speech where each is sent by itself: it must not be
cut at every breath. LiveKit's turn model asks the same of a detector when it decides alone."""


def load_vad(settings: Settings) -> lk_vad.VAD:
    """Load Silero. The native build needs half the CPU of the ONNX Runtime one (measured)."""
    silence_s = settings.turn.vad_min_silence_s
    if settings.hears_stretches:
        silence_s = max(silence_s, _SEGMENT_SILENCE_S)
    if settings.vad == "plugin":
        return silero.VAD.load(min_silence_duration=silence_s)
    return inference.VAD(model="silero", min_silence_duration=silence_s)


def turn_handling(settings: Settings, detector: TurnDetector) -> TurnHandlingOptions:
    """The session's turn handling.

    Nothing here may leave the machine: left to itself the framework picks LiveKit's hosted turn
    detector and hosted interruption classifier in dev and console mode, whatever server the worker
    is connected to.
    """
    turn = settings.turn
    return TurnHandlingOptions(
        turn_detection=detector,
        # The detector does the waiting; what the framework adds to it is nothing.
        endpointing=EndpointingOptions(mode="fixed", min_delay=0.0, max_delay=turn.unfinished_s),
        interruption=InterruptionOptions(
            enabled=settings.allow_interrupt,
            mode="vad",
            min_duration=turn.min_interruption_s,
            resume_false_interruption=True,
            false_interruption_timeout=settings.false_interruption_timeout_s,
        ),
        # The reply is written and synthesised while the turn's end is still being awaited: that
        # wait then costs the caller nothing.
        preemptive_generation=PreemptiveOptions(
            enabled=turn.speculations > 0,
            preemptive_tts=True,
            max_retries=turn.speculations,
            max_speech_duration=turn.speculation_max_speech_s,
        ),
    )


class TurnModel(Protocol):
    """The stream of LiveKit's audio turn detector, as far as it is used here."""

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Hear some of the caller."""

    def predict(self) -> asyncio.Future[TurnDetectionEvent]:
        """Begin to judge what was heard last."""

    def flush(self, reason: str | None = None) -> None:
        """Forget what was heard."""

    async def unlikely_threshold(self, language: LanguageCode | None) -> float | None:
        """The probability from which on it means yes."""

    async def aclose(self) -> None:
        """Stop."""


def open_turn_model() -> TurnModel:
    """LiveKit's turn model that runs in this process; needs a running loop."""
    return inference.TurnDetector(version="v1-mini").stream()


@dataclass
class ReplyAhead:
    """A reply that is being written ahead of the turn's end; times are monotonic.

    Attributes:
        asked_at: When the model was asked.
        acknowledges: Whether it can begin with an acknowledgement, without the model's words.
        begun_at: When its first words came; None before.
    """

    asked_at: float
    acknowledges: bool = False
    begun_at: float | None = None


@dataclass(frozen=True)
class _Judgement:
    """What the turn model was asked; times are monotonic."""

    asked_at: float
    coming: asyncio.Future[TurnDetectionEvent]


class TurnDetector:
    """Decides when a pause is the end of a turn: a text turn detector to the framework.

    The framework asks at every pause that its VAD finds and at every final, with the words so far,
    and cancels the question when the caller speaks on. The answer is given once it is certain
    enough: `agent.commit` says when that is.

    Args:
        settings: Delays.
        open_model: Makes the turn model's stream; None for words and silence alone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        settings: TurnSettings,
        open_model: Callable[[], TurnModel] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._open_model = open_model
        self._clock = clock
        self._stream: TurnModel | None = None
        self._language: LanguageCode | None = None
        self._reply: ReplyAhead | None = None
        self._usual_s: float | None = None  # from asking the model to its first words
        self._asking_early: asyncio.TimerHandle | None = None
        self._judgement: _Judgement | None = None
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self.ended_at: float | None = None
        """Monotonic time at which the caller fell silent; None while speech goes on."""

    @property
    def model(self) -> str:
        """The name in metrics and traces."""
        return "words+v1-mini" if self._open_model else "words"

    @property
    def provider(self) -> str:
        """Who runs it."""
        return "local"

    async def supports_language(self, language: LanguageCode | None) -> bool:
        """Any: where the words say nothing, the turn model and the silence decide."""
        self._language = language
        return True

    async def unlikely_threshold(self, language: LanguageCode | None) -> float | None:
        """None: an answer is only given once the turn is over, so none is ever unlikely."""
        return None

    async def predict_end_of_turn(
        self, chat_ctx: llm.ChatContext, *, timeout: float | None = None
    ) -> float:
        """Return 1 as soon as the turn that ends `chat_ctx` is over."""
        ended_at = self._clock() if self.ended_at is None else self.ended_at
        evidence = Evidence(text=last_user_text(chat_ctx))
        if outlook(evidence.text) is Outlook.OPEN:
            evidence = await self._with_model(evidence, ended_at)
        while (left := ended_at + self._delay(evidence, ended_at) - self._clock()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
        if self._stream:
            self._stream.flush(reason="turn over")
        self._over.set()
        return 1.0

    def watch(self, session: AgentSession[Any]) -> None:
        """Learn from the session's VAD when the caller speaks."""
        session.on("user_state_changed", self._on_user_state)

    def hear(self, frame: rtc.AudioFrame) -> None:
        """Let the turn model hear some of the caller."""
        if self._open_model and self._stream is None:
            self._stream = self._open_model()
        if self._stream:
            self._stream.push_audio(frame)

    def reply_asked(self, text: str = "", *, acknowledges: bool = False) -> ReplyAhead:
        """The model has been asked; what is waited for is free until the reply begins.

        Args:
            text: The words that it answers.
            acknowledges: Whether the reply can begin without the model.
        """
        self._reply = ReplyAhead(asked_at=self._clock(), acknowledges=acknowledges)
        self._forget_judgement()
        undecided = text and not self._over.is_set() and outlook(text) is Outlook.OPEN
        if undecided and self._stream:
            self._asking_early = asyncio.get_running_loop().call_later(
                self._settings.judge_after_s, self._judge, self._stream
            )
        return self._reply

    async def caller_waits(self, reply: ReplyAhead) -> None:
        """Return when the turn is over and the model has had some time to answer."""
        await self._over.wait()
        await asyncio.sleep(reply.asked_at + _GRACE_S - self._clock())

    def reply_begun(self, reply: ReplyAhead) -> None:
        """The first words, or a tool call, of a reply are there."""
        if reply.begun_at is None:
            reply.begun_at = self._clock()
            took_s = reply.begun_at - reply.asked_at
            before_s = took_s if self._usual_s is None else self._usual_s
            self._usual_s = before_s + _LEARNING_RATE * (took_s - before_s)
            self._changed.set()

    def reply_over(self, reply: ReplyAhead) -> None:
        """A reply is written, or thrown away."""
        if reply is self._reply:
            self._reply = None
            self._changed.set()

    async def aclose(self) -> None:
        """Stop the turn model."""
        self._forget_judgement()
        if self._stream:
            await self._stream.aclose()

    def _judge(self, stream: TurnModel) -> None:
        """Ask the turn model before the pause is certain: it takes 50 to 100 ms to answer."""
        self._judgement = _Judgement(self._clock(), stream.predict())

    def _forget_judgement(self) -> None:
        if self._asking_early:
            self._asking_early.cancel()
        self._asking_early = self._judgement = None

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.ended_at = None
            self._over.clear()
            self._forget_judgement()
        elif event.old_state == "speaking":
            # The event's time is the wall clock's, set back to when the speech had ended.
            self.ended_at = self._clock() - max(0.0, time.time() - event.created_at)

    def _delay(self, evidence: Evidence, ended_at: float) -> float:
        if self._reply:
            begins_at = self._begins_at(self._reply, ended_at)
            after_s = None if begins_at is None else max(0.0, begins_at - ended_at)
            evidence = replace(evidence, speculating=True, reply_after_s=after_s)
        return commit_delay(evidence, self._settings)

    def _begins_at(self, reply: ReplyAhead, ended_at: float) -> float | None:
        """When its first words came, or the time for which the turn should be over for them."""
        if reply.begun_at is not None:
            return reply.begun_at
        times = []
        if self._usual_s is not None:
            times.append(reply.asked_at + self._usual_s - self._settings.head_start_s)
        if reply.acknowledges:
            due = ended_at + self._settings.acknowledge_after_s
            times.append(max(due, reply.asked_at + _GRACE_S))
        return min(times, default=None)

    async def _with_model(self, evidence: Evidence, ended_at: float) -> Evidence:
        """The evidence with the turn model's word, which may have been asked for already."""
        if self._stream is None:
            return evidence
        likely = await self._stream.unlikely_threshold(self._language) or evidence.likely
        early = self._judgement
        self._forget_judgement()
        probability = None
        if early and early.asked_at >= ended_at:  # or speech went on after it
            probability = await _probability(early.coming)
        if probability is None or probability < likely:  # it knows better now
            probability = await _probability(self._stream.predict())
        return replace(evidence, end_of_turn=probability, likely=likely)


async def _probability(judging: asyncio.Future[TurnDetectionEvent]) -> float | None:
    """That the turn is over; None if the model does not say."""
    try:
        async with asyncio.timeout(_MODEL_TIMEOUT_S):
            return (await judging).end_of_turn_probability
    except TimeoutError:
        logger.warning("the turn model did not answer")
        return None


def last_user_text(chat_ctx: llm.ChatContext) -> str:
    """The caller's words if the context ends with them, else empty."""
    last = chat_ctx.items[-1] if chat_ctx.items else None
    if isinstance(last, llm.ChatMessage) and last.role == "user":
        return last.text_content or ""
    return ""
