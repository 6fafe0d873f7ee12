"""What every test on real sockets gets: none of them stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livekit import rtc

from tests.descriptors import no_leaked_sockets


@pytest.fixture(scope="session", autouse=True)
def _native_library() -> None:
    """LiveKit's native library opens two sockets of its own, once a process."""
    rtc.AudioResampler(24_000, 16_000)


@pytest.fixture(autouse=True)
async def _no_leaked_sockets() -> AsyncIterator[None]:
    async with no_leaked_sockets():
        yield
