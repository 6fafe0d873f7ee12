"""Turns what a server says into LiveKit's order of speech events, across any number of connections.

``START_OF_SPEECH``, then ``INTERIM`` and ``PREFLIGHT`` any number of times, then ``FINAL``, then
``END_OF_SPEECH``. There is never a second start without an end. All state lives here, so a
reconnect in the middle of an utterance continues it. No I/O, no clock: time comes in as monotonic
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from ._codec.stt import Transcript
from ._settle import SettlePolicy, same_words, settled

_SILENCE_ENDS_EMPTY_SPEECH_MS = 2000.0
"""A server that announced speech and transcribes nothing has heard a noise."""


class Kind(Enum):
    """The speech events that this plugin emits."""

    START = auto()
    INTERIM = auto()
    PREFLIGHT = auto()
    FINAL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``transcript`` is set for the three that carry text."""

    kind: Kind
    transcript: Transcript | None = None


class Utterance:
    """The utterance under way, if any.

    Args:
        policy: When an interim counts as settled; ``None`` never emits a preflight.
        more_within_s: After a final that does not end its utterance: the wait for more.
    """

    def __init__(self, *, policy: SettlePolicy | None, more_within_s: float) -> None:
        self._policy = policy
        self._more_within_s = more_within_s
        self._speaking = False
        self._interim: Transcript | None = None
        self._changed_at = 0.0
        self._preflight_text = ""
        self._preflight_stale = False
        self._last_final_text = ""
        self._final_is_latest = False
        self._end_due: float | None = None

    @property
    def speaking(self) -> bool:
        """Between a start and its end."""
        return self._speaking

    @property
    def owed(self) -> bool:
        """Whether an interim has been passed on whose final is still to come."""
        return self._interim is not None

    def is_repeat(self, transcript: Transcript, *, spoken_since_final: bool) -> bool:
        """Whether a final says again what the last one said, with nothing spoken in between."""
        return (
            transcript.is_final
            and self._final_is_latest
            and not spoken_since_final
            and transcript.text == self._last_final_text
        )

    def on_speech_started(self) -> Iterator[Event]:
        """The server hears a voice."""
        yield from self._start()

    def on_transcript(self, transcript: Transcript, now_s: float) -> Iterator[Event]:
        """A partial or a final."""
        if transcript.is_final:
            yield from self._on_final(transcript, now_s)
        elif transcript.text:
            yield from self._on_interim(transcript, now_s)

    def on_utterance_end(self) -> Iterator[Event]:
        """The server says that the utterance is over."""
        if self._interim is None:
            yield from self._end()

    def on_tick(self, now_s: float, *, silent_ms: float) -> Iterator[Event]:
        """Time has passed, or audio has; ``silent_ms`` is how long nobody has seemed to speak."""
        if self._interim is not None:
            yield from self._preflight(self._interim, now_s, silent_ms)
        elif self._end_due is not None:
            if now_s >= self._end_due:
                yield from self._end()
        elif self._speaking and silent_ms >= _SILENCE_ENDS_EMPTY_SPEECH_MS:
            yield from self._end()

    def on_input_exhausted(self) -> tuple[bool, list[Event]]:
        """No final will come any more; return whether an interim had to stand in for it."""
        events: list[Event] = []
        promoted = self._interim is not None
        if self._interim is not None:
            events.append(Event(Kind.FINAL, self._interim))
            self._interim = None
        events.extend(self._end())
        return promoted, events

    def _on_interim(self, transcript: Transcript, now_s: float) -> Iterator[Event]:
        yield from self._start()
        self._end_due = None
        self._final_is_latest = False
        if self._interim is not None and self._interim.text == transcript.text:
            return  # a repeat would tell the framework that the preflight is stale
        if not same_words(self._preflight_text, transcript.text):
            self._preflight_stale = True  # the framework has thrown its reply away
        self._interim = transcript
        self._changed_at = now_s
        yield Event(Kind.INTERIM, transcript)

    def _on_final(self, transcript: Transcript, now_s: float) -> Iterator[Event]:
        ends = transcript.speech_final is not False
        if transcript.text:
            yield from self._start()
            yield from self._tell_final(transcript)
            self._last_final_text = transcript.text
            self._final_is_latest = True
            self._end_due = None if ends else now_s + self._more_within_s
        if transcript.text or ends:
            self._interim = None
            self._preflight_text = ""
            self._preflight_stale = False
        if ends:
            yield from self._end()

    def _tell_final(self, transcript: Transcript) -> Iterator[Event]:
        """The final, in a form that keeps the reply to its words.

        The framework (1.8) throws a speculative reply away when the final is not the preflight's
        text to the letter; it would ask the model again for a full stop. So a final with the same
        words is passed on as the preflight had it.
        """
        if self._preflight_text and same_words(self._preflight_text, transcript.text):
            if self._preflight_stale:  # the reply is gone, and nothing else would begin another
                yield Event(Kind.PREFLIGHT, transcript)
            else:
                transcript = replace(transcript, text=self._preflight_text)
        yield Event(Kind.FINAL, transcript)

    def _preflight(self, interim: Transcript, now_s: float, silent_ms: float) -> Iterator[Event]:
        if self._policy is None:
            return
        if not self._preflight_stale and same_words(interim.text, self._preflight_text):
            return  # the reply to these words is under way
        unchanged_ms = (now_s - self._changed_at) * 1000.0
        if settled(
            interim.text, unchanged_ms=unchanged_ms, silent_ms=silent_ms, policy=self._policy
        ):
            self._preflight_text = interim.text
            self._preflight_stale = False
            yield Event(Kind.PREFLIGHT, interim)

    def _start(self) -> Iterator[Event]:
        if not self._speaking:
            self._speaking = True
            yield Event(Kind.START)

    def _end(self) -> Iterator[Event]:
        self._end_due = None
        if self._speaking:
            self._speaking = False
            yield Event(Kind.END)
