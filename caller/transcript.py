"""What the room says was said: the `lk.transcription` text streams of both sides."""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import insort_right
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit import rtc

TOPIC = "lk.transcription"
SEGMENT_ID = "lk.segment_id"
FINAL = "lk.transcription_final"


@dataclass(frozen=True, kw_only=True)
class Update:
    """One state of a segment's text.

    Attributes:
        stream: Which of the room's text streams brought it, counted in the order they opened.
        at_s: When it came, seconds of `time.monotonic`.
        text: The whole text of the segment so far.
        final: Whether nothing will be added to it.
    """

    stream: int
    at_s: float
    text: str = field(repr=False)
    final: bool


@dataclass(kw_only=True)
class Segment:
    """An utterance as the room transcribes it.

    Attributes:
        id: The segment's id.
        speaker: Identity of the participant whose words these are.
        updates: All states of its text, in the order in which they were sent.
    """

    id: str
    speaker: str
    updates: list[Update] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The newest text."""
        return self.updates[-1].text if self.updates else ""

    @property
    def final(self) -> bool:
        """Whether the newest text is the last."""
        return bool(self.updates) and self.updates[-1].final

    @property
    def interims(self) -> list[str]:
        """The texts that came before the final one, in order."""
        return [update.text for update in self.updates if not update.final]


class Transcript:
    """Collects segments while a call goes on.

    The caller's words come as one stream an update (same segment id, the text replaced); the
    agent's as one stream a segment, growing. Both become `Segment.updates` with the whole text.

    Args:
        on_final: Called with each segment when it becomes final.
    """

    def __init__(self, *, on_final: Callable[[Segment], None] | None = None) -> None:
        self._segments: dict[str, Segment] = {}
        self._on_final = on_final
        self._readers: set[asyncio.Task[None]] = set()
        self._opened_streams = 0

    @property
    def segments(self) -> list[Segment]:
        """All segments, in the order they began."""
        return list(self._segments.values())

    def of(self, identity: str) -> list[Segment]:
        """The segments spoken by `identity`."""
        return [segment for segment in self._segments.values() if segment.speaker == identity]

    def register(self, room: rtc.Room) -> None:
        """Begin to collect from `room`; before it connects, so that nothing is missed."""
        room.register_text_stream_handler(TOPIC, self._opened)

    async def aclose(self) -> None:
        """Stop collecting."""
        for task in list(self._readers):
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _opened(self, reader: rtc.TextStreamReader, identity: str) -> None:
        segment_id = (reader.info.attributes or {}).get(SEGMENT_ID, reader.info.stream_id)
        segment = self._segments.setdefault(segment_id, Segment(id=segment_id, speaker=identity))
        self._opened_streams += 1
        task = asyncio.create_task(
            self._read(reader, segment, self._opened_streams), name="caller transcript"
        )
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.TextStreamReader, segment: Segment, stream: int) -> None:
        # A final of its own, not one that grows: it is told once, when it is whole.
        whole = (reader.info.attributes or {}).get(FINAL) == "true"
        text = ""
        # A speaker that leaves in the middle of a stream breaks it; what came is kept.
        with contextlib.suppress(ConnectionError):
            async for chunk in reader:
                text += chunk
                if not whole:
                    self._update(segment, stream, text, final=False)
        # The final mark may come with the stream's end, so it is read here and not above.
        if (reader.info.attributes or {}).get(FINAL) == "true":
            self._update(segment, stream, text, final=True)

    def _update(self, segment: Segment, stream: int, text: str, *, final: bool) -> None:
        update = Update(stream=stream, at_s=time.monotonic(), text=text, final=final)
        # Streams open in order, but their contents are read side by side and may overtake another.
        insort_right(segment.updates, update, key=lambda known: known.stream)
        if final and self._on_final:
            self._on_final(segment)
