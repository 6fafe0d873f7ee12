"""What every fault test gets: no socket stays open, and the settings of a call to this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.descriptors import no_leaked_sockets


@pytest.fixture(autouse=True)
async def _no_leaked_sockets() -> AsyncIterator[None]:
    async with no_leaked_sockets():
        yield


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the store and kept phrases of this test, and no .env
    monkeypatch.setenv("AGENT_STT", "local:sim/stt")
    monkeypatch.setenv("AGENT_LLM", "local:brain")
    monkeypatch.setenv("AGENT_TTS", "local:sim/tts")
