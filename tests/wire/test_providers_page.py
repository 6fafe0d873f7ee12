"""docs/providers.md says what the providers' clients do against the local gateway today."""

from __future__ import annotations

from bench.abilities import probe
from bench.providers import FILE, abilities


async def test_the_page_is_not_stale() -> None:
    tables = await probe()
    assert len(tables) == 4
    assert abilities(tables) in FILE.read_text(), "run `make providers` and look at what changed"
