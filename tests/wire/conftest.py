"""What every test on real sockets gets: none of them stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.descriptors import no_leaked_sockets


@pytest.fixture(autouse=True)
async def _no_leaked_sockets() -> AsyncIterator[None]:
    async with no_leaked_sockets():
        yield
