"""Audio that no final covers yet, on the stream's own sample clock.

The first sample pushed to a stream is sample 0 and the count never goes back, whatever is sent,
sent again or not sent at all. Times in events are positions on this clock; the wall clock plays
no part.
"""

from __future__ import annotations

from collections import deque

_BYTES_PER_SAMPLE = 2


class ReplayRing:
    """The newest ``capacity`` samples that may still have to be sent again.

    ``start <= cursor <= end`` always holds. Samples before ``start`` are gone, those before
    ``cursor`` were sent on the present connection, and ``end`` is where the next one goes.
    """

    def __init__(self, *, capacity: int) -> None:
        """Args: capacity: Samples held before the oldest is dropped."""
        self._capacity = capacity
        self._data = bytearray()
        self._start = 0
        self._cursor = 0
        self._covered = 0

    @property
    def start(self) -> int:
        """The oldest sample held."""
        return self._start

    @property
    def end(self) -> int:
        """One past the newest sample."""
        return self._start + len(self._data) // _BYTES_PER_SAMPLE

    @property
    def covered(self) -> int:
        """Samples before this one need not be sent again."""
        return self._covered

    @property
    def cursor(self) -> int:
        """The next sample to send on this connection."""
        return self._cursor

    @property
    def unsent(self) -> int:
        """Samples not yet sent on this connection."""
        return self.end - self._cursor

    @property
    def room(self) -> int:
        """Samples that can be appended before one that was not sent is dropped."""
        return self._capacity - self.unsent

    def append(self, pcm: bytes) -> None:
        """Add whole 16-bit samples; the oldest fall out when there are too many."""
        self._data += pcm
        excess = len(self._data) // _BYTES_PER_SAMPLE - self._capacity
        if excess > 0:
            self._forget(self._start + excess)

    def read(self, maximum: int) -> bytes:
        """The next samples to send, at most ``maximum``; the cursor moves past them."""
        first = (self._cursor - self._start) * _BYTES_PER_SAMPLE
        pcm = bytes(self._data[first : first + maximum * _BYTES_PER_SAMPLE])
        self._cursor += len(pcm) // _BYTES_PER_SAMPLE
        return pcm

    def skip_to(self, position: int) -> None:
        """Leave samples before ``position`` unsent: nobody spoke in them."""
        self._cursor = max(self._cursor, min(position, self.end))

    def cover(self, position: int) -> None:
        """Samples before ``position`` need not be sent again."""
        position = min(position, self._cursor)
        if position > self._covered:
            self._covered = position
            self._forget(position)

    def rewind(self) -> tuple[int, int]:
        """Start again for a new connection; return the range ``[a, b)`` that is lost for good."""
        lost = (self._covered, self._start)
        self._covered = self._cursor = self._start
        return lost

    def _forget(self, position: int) -> None:
        if position > self._start:
            del self._data[: (position - self._start) * _BYTES_PER_SAMPLE]
            self._start = position
            self._cursor = max(self._cursor, position)


class SentMap:
    """Which sample of the stream a sample sent on one connection was.

    A server counts the audio it was sent. That is not the stream's clock once audio was sent again
    after a reconnect, left out as silence, or padded.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._runs: list[tuple[int, int]] = []  # (first sent sample, its sample of the stream)

    @property
    def sent(self) -> int:
        """Samples sent on this connection."""
        return self._sent

    def note(self, position: int, count: int) -> None:
        """``count`` samples of the stream from ``position`` on were sent."""
        if not self._runs or self.to_stream(self._sent) != position:
            self._runs.append((self._sent, position))
        self._sent += count

    def note_padding(self, position: int, count: int) -> None:
        """``count`` samples that the stream does not have were sent, at ``position``."""
        self._sent += count
        self._runs.append((self._sent, position))

    def to_stream(self, sent: int) -> int:
        """The sample of the stream that the server calls ``sent``."""
        first, position = 0, 0
        for run_first, run_position in reversed(self._runs):
            if run_first <= sent:
                first, position = run_first, run_position
                break
        return position + (sent - first)


class ArrivalLog:
    """When samples arrived, in monotonic seconds, for the newest ``window`` samples."""

    def __init__(self, *, window: int, sample_rate: int) -> None:
        """Args: window: Samples remembered. sample_rate: Samples a second."""
        self._window = window
        self._rate = sample_rate
        self._log: deque[tuple[int, float]] = deque()  # (position after a frame, its arrival)

    def note(self, end: int, now_s: float) -> None:
        """The samples up to ``end`` have arrived."""
        self._log.append((end, now_s))
        while self._log[0][0] < end - self._window:
            self._log.popleft()

    def age_s(self, position: int, now_s: float) -> float:
        """Seconds since the sample at ``position`` arrived."""
        for end, at in self._log:
            if end >= position:
                return max(0.0, now_s - at + (end - position) / self._rate)
        return 0.0
