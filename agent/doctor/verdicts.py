"""What a probe says about a route: pure functions from what happened to findings."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from ..config import ConfigError
from .findings import Finding, State
from .gateways import missing_model
from .probes import SAMPLE, Answer, Hearing, Speech

_SLOW_FINAL_MS = 1500.0
_SLOW_FIRST_WORDS_MS = 1200.0
_SLOW_FIRST_AUDIO_MS = 800.0
"""Beyond these a caller wonders: together with half a second of turn-taking they are three seconds
of silence."""

_BURST = 0.5
"""A stream that needs less than this part of its first piece's wait for all the others was kept
back until it was whole."""
_TELLING_MS = 600.0
"""A first piece that came sooner than this was not kept back in any way that matters."""

_EXPECTED_WORDS = 13
_HEARD_ENOUGH = 0.6
_CHARS_PER_S = (8.0, 28.0)
"""Speech has about 15 characters a second; outside of this the sample rate is another one."""
_STOP_MS = 500.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What findings of a route are about.

    Attributes:
        stage: `stt`, `llm` or `tts`.
        route: As configured.
        model: The model's name on the wire.
        gateway: Provider name of the gateway behind it; empty for a vendor asked directly.
        models: What that gateway lists.
    """

    stage: str
    route: str
    model: str = ""
    gateway: str = ""
    models: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.stage} {self.route}"

    @property
    def variable(self) -> str:
        """The setting that names the route."""
        return f"AGENT_{self.stage.upper()}"

    def finding(
        self, check: str, state: State, found: str, fix: str = "", *, scored: bool = True
    ) -> Finding:
        """A finding about this route."""
        gateway = self.gateway if scored else ""
        return Finding(
            subject=str(self), check=check, state=state, found=found, fix=fix, gateway=gateway
        )


def judge_error(
    subject: Subject, error: APIError | TimeoutError | ValueError | ConfigError
) -> Finding:
    """The finding for a probe that failed."""
    check = "works"
    match error:
        case APIStatusError(status_code=401 | 403):
            fix = "Correct the provider's key in .env."
            return subject.finding("key", State.FAIL, f"refused ({error.status_code})", fix)
        case APIStatusError(status_code=402):
            fix = "Top the account up, or put another route first."
            return subject.finding(check, State.FAIL, "the account is out of credit", fix)
        case APIStatusError(status_code=400 | 404 | 422):
            found, fix = missing_model(subject.model, subject.models, subject.variable)
            return subject.finding("model", State.FAIL, f"{found} ({error.status_code})", fix)
        case APIStatusError(status_code=429):
            fix = "Wait, raise the account's limit, or add a fallback route."
            return subject.finding(check, State.FAIL, "too many requests", fix)
        case APITimeoutError() | TimeoutError():
            found = "no answer in time"
        case APIStatusError():
            found = f"answers {error.status_code}"
        case APIConnectionError():
            found = "no connection"
        case _:
            found = type(error).__name__
    fix = "Try again; if it stays, add a fallback route after a comma."
    return subject.finding(check, State.FAIL, found, fix)


def judge_hearing(subject: Subject, heard: Hearing) -> list[Finding]:
    """What speech to text is good for."""
    if heard.final_ms is None:
        fix = f"Choose another model in {subject.variable}."
        return [subject.finding("works", State.FAIL, "no final for spoken words", fix)]
    words = min(heard.words / _EXPECTED_WORDS, 1.0)
    return [
        subject.finding("works", State.OK, f"final {heard.final_ms:.0f} ms after the last word")
        if heard.final_ms <= _SLOW_FINAL_MS
        else subject.finding(
            "works", State.WARN, f"final {heard.final_ms:.0f} ms after the last word",
            "Replies will be late by as much: choose a faster model.",
        ),
        subject.finding("streams", State.OK, f"{heard.interims} interims while it was said")
        if heard.interims
        else subject.finding(
            "streams", State.WARN, "keeps its words back until the end of speech",
            "Nothing can be prepared ahead: choose a streaming model or gateway.",
        ),
        subject.finding("words", State.OK, f"{words:.0%} of the words")
        if words >= _HEARD_ENOUGH
        else subject.finding(
            "words", State.WARN, f"{words:.0%} of the words",
            "Check AGENT_LANGUAGE and the model.",
        ),
    ]  # fmt: skip


def judge_answer(subject: Subject, said: Answer) -> list[Finding]:
    """What a model's answer shows."""
    if said.first_ms is None:
        fix = f"Choose another model in {subject.variable}."
        return [subject.finding("works", State.FAIL, "an empty answer", fix)]
    found = f"first words after {said.first_ms:.0f} ms"
    slow = said.first_ms > _SLOW_FIRST_WORDS_MS
    return [
        subject.finding("works", State.WARN, found, "Choose a faster model: a caller waits for it.")
        if slow
        else subject.finding("works", State.OK, found),
        _streams(subject, first_ms=said.first_ms, last_ms=said.last_ms, pieces=said.pieces),
        subject.finding("usage", State.OK, "counts its tokens")
        if said.usage
        else subject.finding(
            "usage", State.WARN, "counts no tokens", "Costs will be missing from the records."
        ),
    ]


def judge_tools(subject: Subject, said: Answer) -> Finding:
    """Whether a model calls a tool that it needs."""
    if said.tools:
        return subject.finding("tools", State.OK, f"calls {said.tools[0]}")
    fix = "Orders, calendar and flights will not work: choose a model that calls tools."
    return subject.finding("tools", State.WARN, "answers without the tool it needs", fix)


def judge_speech(subject: Subject, spoken: Speech) -> list[Finding]:
    """What a voice is good for."""
    if spoken.first_ms is None or not spoken.audio_s:
        fix = f"Choose another voice in {subject.variable}."
        return [subject.finding("works", State.FAIL, "no sound", fix)]
    found = f"first audio after {spoken.first_ms:.0f} ms"
    slow = spoken.first_ms > _SLOW_FIRST_AUDIO_MS
    pace = len(SAMPLE) / spoken.audio_s
    return [
        subject.finding("works", State.WARN, found, "Choose a faster voice: a caller waits for it.")
        if slow
        else subject.finding("works", State.OK, found),
        _streams(subject, first_ms=spoken.first_ms, last_ms=spoken.most_ms, pieces=2),
        subject.finding("rate", State.OK, f"{pace:.0f} characters a second")
        if _CHARS_PER_S[0] <= pace <= _CHARS_PER_S[1]
        else subject.finding(
            "rate", State.WARN, f"{pace:.0f} characters a second",
            "Its audio seems to have another sample rate than the wire form says.",
        ),
    ]  # fmt: skip


def _streams(subject: Subject, *, first_ms: float, last_ms: float, pieces: int) -> Finding:
    if pieces < 2 or first_ms < _TELLING_MS:
        return subject.finding("streams", State.OK, f"all of it within {last_ms:.0f} ms")
    if last_ms - first_ms < _BURST * first_ms:
        return subject.finding(
            "streams", State.WARN, f"everything at once after {first_ms:.0f} ms",
            "The gateway buffers: callers wait for whole replies. Ask it for streaming.",
        )  # fmt: skip
    return subject.finding("streams", State.OK, f"from {first_ms:.0f} to {last_ms:.0f} ms")


def judge_stop(subject: Subject, took_ms: float) -> Finding:
    """Whether a gateway stops when the client goes, as at every barge-in."""
    if took_ms <= _STOP_MS:
        return subject.finding("cancels", State.OK, f"stops within {took_ms:.0f} ms")
    return subject.finding(
        "cancels", State.WARN, f"goes on for {took_ms:.0f} ms after the client has left",
        "Interrupted replies are paid for: report it to the gateway.",
    )  # fmt: skip
