"""From decoded messages to LiveKit's speech events, timed by the stream's own clock. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterable

from livekit.agents import stt
from livekit.agents.language import LanguageCode
from livekit.agents.types import NOT_GIVEN, TimedString
from livekit.plugins.gatewaykit.faults import FaultKind, FaultLog
from livekit.plugins.gatewaykit.feed import AudioFeed
from livekit.plugins.gatewaykit.replay import SentMap
from livekit.plugins.gatewaykit.voicing import covered_by_final

from ._codec.stt import SpeechStarted, STTMessage, Transcript, UtteranceEnd
from ._options import STTOptions
from ._stats import STTStats
from ._utterance import Event, Kind, Utterance

_LONGEST_PAUSE_S = 1.0
"""Silence beyond this separates speech from an earlier noise when looking for its start."""
_FIRST_PARTIAL_S = 0.4
"""A first partial needs about a word and the 100 ms between two partials; the rest of its delay is
the server's lag."""
_MAX_LAG_S = 2.0
_REPEAT_NEEDS_VOICE_S = 0.1
"""An identical final with less voice than this before it says the same thing once more."""

_TYPES = {
    Kind.START: stt.SpeechEventType.START_OF_SPEECH,
    Kind.INTERIM: stt.SpeechEventType.INTERIM_TRANSCRIPT,
    Kind.PREFLIGHT: stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    Kind.FINAL: stt.SpeechEventType.FINAL_TRANSCRIPT,
    Kind.END: stt.SpeechEventType.END_OF_SPEECH,
}


class Transcriber:
    """What has been heard so far in one stream.

    Args:
        options: The stream's options.
        feed: The stream's audio.
        stats: Counters of the ``STT``.
        faults: Notes finals that are missing or come twice.
    """

    def __init__(
        self, *, options: STTOptions, feed: AudioFeed, stats: STTStats, faults: FaultLog
    ) -> None:
        self.origin_s = 0.0
        """What the framework adds to the stream's times (see ``start_time_offset``)."""
        self.request_id = ""
        self._language = options.language
        self._feed = feed
        self._stats = stats
        self._faults = faults
        self._utterance = Utterance(
            policy=options.preflight, more_within_s=options.timeouts.end_of_speech_s
        )
        self._last_end = 0  # end of the last segment passed on; times never go back behind it
        self._segment = (0, 0)
        self._lag = 0  # samples that the server seems to be behind what was sent

    @property
    def speaking(self) -> bool:
        """Between a start and an end of speech."""
        return self._utterance.speaking

    @property
    def owed(self) -> bool:
        """Whether an interim was passed on whose final is still to come."""
        return self._utterance.owed

    @property
    def unheard(self) -> bool:
        """Whether a final is owed, or somebody spoke whom no final covers yet."""
        ring = self._feed.ring
        return self.owed or self._feed.runs.voiced_between(ring.covered, ring.cursor) > 0

    def on_message(
        self, message: STTMessage, sent: SentMap, *, live: bool
    ) -> list[stt.SpeechEvent]:
        """Events for one message.

        Args:
            message: Anything but an error.
            sent: What was sent on the connection that the message came from.
            live: Whether that connection keeps up with the caller.
        """
        match message:
            case Transcript():
                events = self._on_transcript(message, sent, live=live)
                return events + self._tick(sent)  # the silence may have come before the words
            case SpeechStarted():
                return self._to_events(self._utterance.on_speech_started(), sent)
            case UtteranceEnd():
                return self._to_events(self._utterance.on_utterance_end(), sent)
            case _:
                return []

    def on_tick(self, sent: SentMap | None, *, live: bool) -> list[stt.SpeechEvent]:
        """Events that the passing of time brings."""
        out = self._tick(sent)
        if live and not self.speaking:
            self._feed.forget_idle()
        return out

    def _tick(self, sent: SentMap | None) -> list[stt.SpeechEvent]:
        events = self._utterance.on_tick(time.monotonic(), silent_ms=self._feed.runs.silent_ms)
        return self._to_events(events, sent)

    def on_input_exhausted(self) -> list[stt.SpeechEvent]:
        """The last events of the stream."""
        promoted, events = self._utterance.on_input_exhausted()
        self._stats.promoted_interims += promoted
        if promoted:
            self._faults.note(FaultKind.MISSING_FINAL)
        return self._to_events(events, None)

    def _on_transcript(
        self, transcript: Transcript, sent: SentMap, *, live: bool
    ) -> list[stt.SpeechEvent]:
        if live and not self.speaking and not transcript.is_final:
            self._measure_lag()
        start, end = self._locate(transcript, sent)
        ring = self._feed.ring
        if transcript.is_final and transcript.text:
            timed_and_old = transcript.end_s is not None and end <= ring.covered
            if timed_and_old or self._repeats(transcript):
                self._stats.duplicate_finals += 1
                self._faults.note(FaultKind.REPEATED_FINAL)
                return []
        self._segment = (max(start, self._last_end), max(end, self._last_end))
        events = self._to_events(self._utterance.on_transcript(transcript, time.monotonic()), sent)
        if transcript.is_final and (transcript.text or not self.owed):
            self._cover(transcript, end, live=live)
            self._last_end = self._segment[1]
        return events

    def _repeats(self, transcript: Transcript) -> bool:
        ring = self._feed.ring
        voiced = self._feed.runs.voiced_between(ring.covered, ring.cursor)
        spoken = voiced >= _REPEAT_NEEDS_VOICE_S * self._feed.sample_rate
        return self._utterance.is_repeat(transcript, spoken_since_final=spoken)

    @property
    def _heard_until(self) -> int:
        """The newest sample that what the server says now can be about."""
        return max(self._feed.ring.covered, self._feed.ring.cursor - self._lag)

    def _measure_lag(self) -> None:
        """Learn from a first partial how far behind the server is."""
        rate = self._feed.sample_rate
        delay_s = (self._feed.ring.cursor - self._onset()) / rate - _FIRST_PARTIAL_S
        self._lag = int(min(max(delay_s, 0.0), _MAX_LAG_S) * rate)

    def _locate(self, transcript: Transcript, sent: SentMap) -> tuple[int, int]:
        """Where in the stream a transcript was spoken: by the server's times, else by loudness."""
        rate = self._feed.sample_rate
        ring = self._feed.ring
        if transcript.end_s is not None:
            words = transcript.words
            start_s = words[0].start_s if words else transcript.start_s or 0.0
            end_s = words[-1].end_s if words else transcript.end_s
            return sent.to_stream(int(start_s * rate)), sent.to_stream(int(end_s * rate))
        runs = self._feed.runs
        end = runs.last_end_before(self._heard_until)
        if end is None or end <= ring.covered:
            return ring.covered, self._heard_until
        pause = int(_LONGEST_PAUSE_S * rate)
        start = runs.burst_start(end, since=ring.covered, longest_pause=pause)
        return max(ring.covered, start or 0), end

    def _cover(self, transcript: Transcript, end: int, *, live: bool) -> None:
        """Audio behind a final need not be sent again."""
        ring = self._feed.ring
        if transcript.end_s is not None:
            ring.cover(end)
        else:
            ring.cover(
                covered_by_final(
                    self._feed.runs,
                    since=ring.covered,
                    heard=self._heard_until,
                    live=live,
                    sample_rate=self._feed.sample_rate,
                )
            )

    def _to_events(self, events: Iterable[Event], sent: SentMap | None) -> list[stt.SpeechEvent]:
        return [self._to_event(event, sent) for event in events]

    def _to_event(self, event: Event, sent: SentMap | None) -> stt.SpeechEvent:
        transcript = event.transcript
        out = stt.SpeechEvent(type=_TYPES[event.kind], request_id=self.request_id)
        if event.kind is Kind.START:
            out.speech_start_time = self._wall_time(self._onset())
        else:
            out.speech_end_time = self._wall_time(self._segment[1])
        if transcript is not None:
            if transcript.request_id:
                out.request_id = self.request_id = transcript.request_id
            out.alternatives = [self._to_data(transcript, sent)]
        return out

    def _to_data(self, transcript: Transcript, sent: SentMap | None) -> stt.SpeechData:
        start, end = self._segment
        return stt.SpeechData(
            language=LanguageCode(transcript.language or self._language),
            text=transcript.text,
            start_time=self._stream_time(start),
            end_time=self._stream_time(end),
            confidence=transcript.confidence or 0.0,
            words=self._to_words(transcript, sent) if transcript.words and sent else None,
        )

    def _to_words(self, transcript: Transcript, sent: SentMap) -> list[TimedString]:
        rate = self._feed.sample_rate
        return [
            TimedString(
                word.text,
                start_time=self._stream_time(sent.to_stream(int(word.start_s * rate))),
                end_time=self._stream_time(sent.to_stream(int(word.end_s * rate))),
                confidence=NOT_GIVEN if word.confidence is None else word.confidence,
                start_time_offset=self.origin_s,
            )
            for word in transcript.words
        ]

    def _onset(self) -> int:
        position = self._feed.ring.end
        pause = int(_LONGEST_PAUSE_S * self._feed.sample_rate)
        start = self._feed.runs.burst_start(
            position, since=self._feed.ring.covered, longest_pause=pause
        )
        return position if start is None else max(start, self._last_end)

    def _stream_time(self, position: int) -> float:
        return self.origin_s + position / self._feed.sample_rate

    def _wall_time(self, position: int) -> float:
        """The framework wants wall time here; it is derived from an age at the last moment."""
        return time.time() - self._feed.arrivals.age_s(position, time.monotonic())
