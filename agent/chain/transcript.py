"""What was heard so far in one stream, whichever route heard it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from livekit.agents import stt
from livekit.plugins.gatewaykit.feed import AudioFeed
from livekit.plugins.gatewaykit.voicing import covered_by_final

_ENDS_EMPTY_SPEECH_MS = 2000.0
"""Speech that was announced and of which nothing came was a noise."""
_TAIL_S = 0.2
"""Weak consonants trail off after what a recogniser or a loudness takes for a word's end."""

_INTERIMS = (
    stt.SpeechEventType.INTERIM_TRANSCRIPT,
    stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
)


class Transcript:
    """Passes the routes' events on as those of one stream.

    Speech never starts twice without an end, segment times never go back, a final is told once, and
    what it covers need not be heard again.

    Args:
        feed: The stream's audio.
    """

    def __init__(self, feed: AudioFeed) -> None:
        self.origin_s = 0.0
        """Seconds that lie before the stream's first sample."""
        self._feed = feed
        self._speaking = False
        self._owed = False
        self._last_end_s = 0.0

    @property
    def owed(self) -> bool:
        """Whether an interim was told whose final is still to come."""
        return self._owed

    @property
    def unheard(self) -> bool:
        """Whether a final is owed, or somebody spoke whom no final covers yet."""
        ring = self._feed.ring
        return self._owed or self._feed.runs.voiced_between(ring.covered, ring.end) > 0

    def time_of(self, position: int) -> float:
        """When a sample was spoken, in seconds of the stream."""
        return self.origin_s + position / self._feed.sample_rate

    def on_event(self, event: stt.SpeechEvent, *, live: bool) -> Iterator[stt.SpeechEvent]:
        """What to tell of an event of the route that listens now.

        Args:
            event: The event.
            live: Whether the route keeps up with the caller, and does not hear again what was said.
        """
        end = self._end_of(event)
        if event.speech_end_time is not None and end is not None:
            # by when it was said, not by when the route got to hear it
            age_s = self._feed.arrivals.age_s(end, time.monotonic())
            event.speech_end_time = time.time() - age_s
        match event.type:
            case stt.SpeechEventType.START_OF_SPEECH | stt.SpeechEventType.END_OF_SPEECH:
                starts = event.type is stt.SpeechEventType.START_OF_SPEECH
                if starts is not self._speaking:
                    self._speaking = starts
                    yield event
            case stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._owed = False
                self._cover(end, live=live)
                yield self._in_order(event)
            case _:
                self._owed = self._owed or (event.type in _INTERIMS and bool(_text(event)))
                yield event

    def on_tick(self) -> Iterator[stt.SpeechEvent]:
        """What the passing of time brings."""
        silent_ms = self._feed.runs.silent_ms
        if self._speaking and not self._owed and silent_ms >= _ENDS_EMPTY_SPEECH_MS:
            self._speaking = False
            yield stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH)
        if not self._speaking and not self._owed:
            self._feed.forget_idle()

    def _end_of(self, event: stt.SpeechEvent) -> int | None:
        """The sample at which words end; None when the recogniser gives no times that can be."""
        end_s = event.alternatives[0].end_time if event.alternatives else 0.0
        ring = self._feed.ring
        end = int((end_s - self.origin_s) * self._feed.sample_rate)
        return min(ring.cursor, end) if end > ring.covered else None

    def _cover(self, end: int | None, *, live: bool) -> None:
        feed, rate = self._feed, self._feed.sample_rate
        if end is None:
            end = covered_by_final(
                feed.runs,
                since=feed.ring.covered,
                heard=feed.ring.cursor,
                live=live,
                sample_rate=rate,
            )
        else:
            goes_on = feed.runs.next_start(end)
            pause_end = feed.ring.cursor if goes_on is None else goes_on
            end = max(end, min(end + int(_TAIL_S * rate), (end + pause_end) // 2))
        feed.ring.cover(end)

    def _in_order(self, event: stt.SpeechEvent) -> stt.SpeechEvent:
        """The final with times that do not lie before those of the last one."""
        for said in event.alternatives:
            said.start_time = max(said.start_time, self._last_end_s)
            said.end_time = max(said.end_time, said.start_time)
        self._last_end_s = max((said.end_time for said in event.alternatives), default=0.0)
        return event


def _text(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text.strip() if event.alternatives else ""
