"""Acknowledgements: "Let me see.", said when the turn is over and the model has no words yet.

People answer within a quarter of a second, and mostly with a sound that commits them to nothing;
what they want to say comes after it. So does this: the phrases say that something was heard and
that an answer is coming, never what it will be, so that whatever follows, a refusal or an apology
too, makes no lie of them. Where none fits, none is said. English only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from livekit.agents import FlushSentinel, llm

from ..words import Outlook, is_question, outlook

_ASKED = ("Let me see.", "Let me have a look.")
_TOLD = ("I see.", "Okay, I see.")
ACKNOWLEDGEMENTS = (*_ASKED, *_TOLD)

_SHORTEST = 4
"""Fewer words are a greeting, a yes or a no, and are answered, not thought about."""
_WORD = re.compile(r"[a-z']+")
_REQUESTS = frozenset("please need want like".split())
_NOT_AFTER = frozenset(
    "hello hi hey thanks thank sorry wait stop yes yeah yep no nope ok okay right correct".split()
)
"""Beginnings that are answered in kind."""
_ABOUT_THE_TALK = re.compile(
    r"\b(hear me|are you|you there|say that|you sa(y|id)|repeat|your name|hold on)\b"
)
"""What is asked of the agent itself: it need not look that up."""

_Chunk = llm.ChatChunk | str | FlushSentinel


def acknowledgement(text: str, *, before: str = "") -> str:
    """What can be said at once to words that end a turn; empty if nothing fits.

    Args:
        text: The caller's words.
        before: What was said the last time: something else will be now.
    """
    words = _WORD.findall(text.lower())
    if len(words) < _SHORTEST or _ABOUT_THE_TALK.search(text.lower()):
        return ""
    if outlook(text) in (Outlook.UNFINISHED, Outlook.DICTATING):
        return ""
    asks = is_question(text) or not _REQUESTS.isdisjoint(words)
    if words[0] in _NOT_AFTER and not asks:
        return ""
    fitting = _ASKED if asks else _TOLD
    return next(phrase for phrase in fitting if phrase != before)


async def acknowledged(
    answer: AsyncIterator[_Chunk],
    *,
    over: Callable[[], Awaitable[None]],
    say: Callable[[], str],
) -> AsyncIterator[_Chunk]:
    """A model's answer, with an acknowledgement before it unless the answer is quicker.

    Args:
        answer: What the model writes.
        over: Returns when the caller begins to wait.
        say: Gives the words; called if they are said.
    """
    waiting = asyncio.ensure_future(over())
    begun = False
    coming: asyncio.Future[_Chunk | None] | None = None
    try:
        while not begun:
            coming = asyncio.ensure_future(anext(answer, None))
            await asyncio.wait((coming, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                begun = True
                yield f"{say()} "
            chunk = await coming
            if chunk is None:
                return
            begun = begun or has_words(chunk)
            yield chunk
    finally:
        tasks: list[asyncio.Future[Any]] = [waiting, *([coming] if coming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    async for chunk in answer:
        yield chunk


def has_words(chunk: _Chunk) -> bool:
    """Whether some of it will be heard."""
    if isinstance(chunk, llm.ChatChunk):
        return bool(chunk.delta and chunk.delta.content)
    return isinstance(chunk, str)
