"""When the audio of a connection is complete, when it is late, and when neither can be said yet.

The documented wire form marks no end. A reply has ended with the first of: an explicit marker, the
server's close, or quiet once the audio received has had time to play. Quiet alone cannot tell an
end from a stall, so it counts as an end only if there is enough audio for the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from ._limits import TTSTimeouts

_MIN_MS_PER_LETTER = 30.0
"""No voice says a letter in less: twice the pace of a fast speaker."""
_PLAUSIBLE_SHARE = 0.6
"""Less of the expected audio than this means that some is missing."""
_PLAUSIBLE_SHARE_KNOWN = 0.75
"""The same once the pace of the voice is known; texts still differ by a tenth or two."""
_COMPLETE_SHARE = 0.9
"""More of it than this means that the short quiet is enough."""


class Verdict(Enum):
    """What to do about a connection."""

    WAIT = auto()
    DONE = auto()
    STALLED = auto()


@dataclass(slots=True)
class Progress:
    """The texts sent and the audio received on one connection. Times are monotonic seconds."""

    timeouts: TTSTimeouts
    ms_per_letter: float
    bytes_per_s: float
    pace_known: bool = False
    letters: float = 0.0
    texts: int = 0
    marked: bool = False
    """Whether the server has said explicitly that everything was sent."""
    _texts_done: int = 0
    _input_ended: bool = False
    _bytes: int = 0
    _bytes_at_text: int = 0
    _first_text_at: float = 0.0
    _last_text_at: float = 0.0
    _plays_until: float = 0.0

    @property
    def audio_s(self) -> float:
        """Seconds of audio received."""
        return self._bytes / self.bytes_per_s

    @property
    def share(self) -> float:
        """Audio received as a share of what the text should take."""
        return self.audio_s * 1000.0 / (self.letters * self.ms_per_letter) if self.letters else 1.0

    @property
    def plausible(self) -> bool:
        """Whether the audio received could be all of it."""
        enough = self.audio_s * 1000.0 >= _MIN_MS_PER_LETTER * self.letters
        needed = _PLAUSIBLE_SHARE_KNOWN if self.pace_known else _PLAUSIBLE_SHARE
        return enough and self.share >= needed and self._bytes > self._bytes_at_text

    def on_text(self, letters: float, now_s: float) -> None:
        """A text that takes as long as ``letters`` letters was sent."""
        if self.texts == 0:
            self._first_text_at = now_s
        self.texts += 1
        self.letters += letters
        self._last_text_at = now_s
        self._bytes_at_text = self._bytes

    def on_input_ended(self) -> None:
        """No text will follow."""
        self._input_ended = True
        self._mark()

    def on_audio(self, count: int, now_s: float) -> None:
        """``count`` bytes of audio arrived."""
        self._bytes += count
        self._plays_until = max(self._plays_until, now_s) + count / self.bytes_per_s

    def on_text_done(self) -> None:
        """The server says that all audio of one text was sent."""
        self._texts_done += 1
        self._mark()

    def on_stream_done(self, *, end_was_sent: bool) -> None:
        """The server says that all audio was sent; of what, depends on whether we asked."""
        self._texts_done += 1
        self._mark()
        if end_was_sent and self._input_ended and self.plausible:
            self.marked = True

    def ends_with_close(self, *, normal: bool) -> bool:
        """Whether the server's close means the end of the reply."""
        return normal and self._input_ended and self.plausible

    def verdict(self, now_s: float) -> Verdict:
        """Judge the connection at ``now_s``."""
        if self.texts == 0:
            return Verdict.DONE if self._input_ended else Verdict.WAIT
        if self.marked:
            return Verdict.DONE
        due_at, due = self._due()
        return due if now_s >= due_at else Verdict.WAIT

    def _mark(self) -> None:
        if self._input_ended and 0 < self.texts <= self._texts_done:
            self.marked = True

    def _due(self) -> tuple[float, Verdict]:
        """When the next verdict falls, if nothing happens before, and which."""
        timeouts = self.timeouts
        if self._bytes == 0:
            return self._first_text_at + timeouts.first_audio_s, Verdict.STALLED
        # a caller who still hears what has come misses nothing, however slow the next chunk is
        late = max(self._plays_until, self._last_text_at) + timeouts.inter_chunk_s
        if self._bytes == self._bytes_at_text and self._texts_done < self.texts:
            return max(self._last_text_at + timeouts.first_audio_s, late), Verdict.STALLED
        if not self.plausible and self._texts_done < self.texts:
            return late, Verdict.STALLED
        if not self._input_ended:
            return float("inf"), Verdict.WAIT
        quiet_s = timeouts.quiet_s if self.share >= _COMPLETE_SHARE else timeouts.inter_chunk_s
        return self._plays_until + quiet_s, Verdict.DONE
