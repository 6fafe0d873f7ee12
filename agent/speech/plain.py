"""Markdown out of what is spoken, without holding back the words that have none.

The framework's filter keeps every word until the next one is there, as a mark may follow. For a
reply's first clause that is a token of silence at the caller's ear, each turn.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator

from livekit.agents.voice.transcription.filters import filter_markdown

_PLAIN = re.compile(r"[^\W_][^\n*_`~\[]*")
"""Nothing in it can be a part of markup, whatever follows. A line that begins with a letter is no
list, heading or quotation."""


async def without_markdown(text: AsyncIterable[str]) -> AsyncIterator[str]:
    """Pass plain text on at once; from the first mark on, the framework's filter decides."""
    pieces = aiter(text)
    said = ""
    async for piece in pieces:
        if not _PLAIN.fullmatch(said + piece):
            break
        said += piece
        yield piece
    else:
        return
    skip = len(said)  # plain text comes out of the filter as it went in
    async for clean in filter_markdown(_chained(said + piece, pieces)):
        yield clean[skip:]
        skip = max(0, skip - len(clean))


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece
