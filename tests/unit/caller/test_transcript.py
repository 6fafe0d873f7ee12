from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

import pytest
from livekit import rtc

from caller.transcript import FINAL, SEGMENT_ID, Segment, Transcript

Handler = Callable[[rtc.TextStreamReader, str], None]


class Reader:
    """A text stream that gives its text when it is let."""

    def __init__(self, text: str, *, final: str, breaks: bool = False) -> None:
        attributes = {SEGMENT_ID: "s1", FINAL: final}
        self.info = SimpleNamespace(stream_id="x", attributes=attributes)
        self.let = asyncio.Event()
        self._text = text
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[str]:
        await self.let.wait()
        yield self._text
        if self._breaks:
            raise rtc.StreamError("unexpectedly disconnected in the middle of sending data")


class FakeRoom:
    def register_text_stream_handler(self, topic: str, handler: Handler) -> None:
        self.handler = handler

    def opens(self, reader: Reader) -> None:
        self.handler(cast(rtc.TextStreamReader, reader), "caller")


@pytest.fixture
def finals() -> list[Segment]:
    return []


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_streams_that_overtake_are_kept_in_the_order_they_were_sent(
    finals: list[Segment],
) -> None:
    room, transcript = FakeRoom(), Transcript(on_final=finals.append)
    transcript.register(cast(rtc.Room, room))
    interim, final = Reader("where", final="false"), Reader("Where?", final="true")
    room.opens(interim)
    room.opens(final)
    final.let.set()
    await settle()
    assert [segment.text for segment in finals] == ["Where?"]
    interim.let.set()
    await settle()
    (segment,) = transcript.of("caller")
    assert [(u.text, u.final) for u in segment.updates] == [("where", False), ("Where?", True)]
    assert segment.final


async def test_an_interim_sent_after_its_final_is_shown_there() -> None:
    room, transcript = FakeRoom(), Transcript()
    transcript.register(cast(rtc.Room, room))
    for reader in (Reader("Where?", final="true"), Reader("where", final="false")):
        reader.let.set()
        room.opens(reader)
    await settle()
    assert [update.final for update in transcript.segments[0].updates] == [True, False]


async def test_a_broken_stream_keeps_what_came() -> None:
    room, transcript = FakeRoom(), Transcript()
    transcript.register(cast(rtc.Room, room))
    reader = Reader("And then", final="false", breaks=True)
    reader.let.set()
    room.opens(reader)
    await settle()
    assert (transcript.segments[0].text, transcript.segments[0].final) == ("And then", False)


async def test_closing_ends_what_is_still_read() -> None:
    room, transcript = FakeRoom(), Transcript()
    transcript.register(cast(rtc.Room, room))
    room.opens(Reader("never", final="false"))
    await settle()
    await transcript.aclose()
    assert transcript.segments[0].updates == []
    assert [task for task in asyncio.all_tasks() if task.get_name() == "caller transcript"] == []
