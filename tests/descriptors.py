"""What this process holds open, so that a test can tell what it left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
from livekit import rtc

_OWN = Path("/proc/self/fd")
_GRACE_S = 2.0
"""Transports close on the next turns of the loop, and a peer in this process after that."""


def open_sockets() -> set[str]:
    """The sockets of this process; where they cannot be listed, as many names as descriptors."""
    if not _OWN.is_dir():
        return {str(number) for number in range(psutil.Process().num_fds())}
    found = set()
    for descriptor in os.listdir(_OWN):
        with contextlib.suppress(OSError):
            target = os.readlink(_OWN / descriptor)
            if target.startswith("socket:"):
                found.add(target)
    return found


@functools.cache
def _wake_native_code() -> None:
    """LiveKit's media library opens two sockets of its own when it is first used."""
    rtc.AudioResampler(16_000, 24_000)


@contextlib.asynccontextmanager
async def no_leaked_sockets() -> AsyncIterator[None]:
    """Fail when a socket is open at the end that was not open before."""
    _wake_native_code()
    before = open_sockets()
    yield
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _GRACE_S
    while open_sockets() - before and loop.time() < give_up_at:
        await asyncio.sleep(0.02)
    left = open_sockets() - before
    assert not left, f"{len(left)} sockets left open"
