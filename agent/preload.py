"""What every call needs and none should wait for, done once in the parent of all job processes.

A job process would otherwise do it on its event loop: 0.6 s of CPU between the caller's arrival and
the greeting, while the idle process that takes its place imports the agent at the same time, and
0.1 s between the caller's first words and their answer. Nothing here starts a thread or keeps a
loop, so that the process may be forked.
"""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import openai.resources.chat.completions
import openai.resources.models  # noqa: F401  # the SDK imports both at their first use
from livekit.agents import tokenize
from livekit.agents.utils import http_context

from . import rehearsal, worker  # noqa: F401  # the worker with all that a call is made of


async def _first_use() -> None:
    async with http_context.open():
        pass  # its TLS context is kept: reading the system's certificates takes 0.1 s
    await anyio.lowlevel.checkpoint()  # imports what HTTP clients wait with
    anyio.Event()
    await rehearsal.rehearse()


asyncio.run(_first_use())
tokenize.basic.hyphenate_word("syllables")  # builds the table that paces the captions
