from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from demo.processes import Child, ProcessError

READY_THEN_STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("grandchild", grandchild.pid, flush=True)
print("all ready", flush=True)
signal.pause()
"""


def child(tmp_path: Path, code: str) -> Child:
    command = [sys.executable, "-c", code]
    return Child("test child", command, env=dict(os.environ), log=tmp_path / "log", cwd=tmp_path)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def gone(pid: int) -> bool:
    """Whether the kernel has carried out the kill, which it does in its own time."""
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return not alive(pid)


async def test_awaits_the_line_it_was_told(tmp_path: Path) -> None:
    process = child(tmp_path, "print('so: all ready now', flush=True); import time; time.sleep(60)")
    await process.start(marker="all ready")
    await process.ready("all ready", timeout_s=10)
    await process.stop()
    assert "all ready" in (tmp_path / "log").read_text()


async def test_a_long_line_does_not_end_the_reading(tmp_path: Path) -> None:
    process = child(
        tmp_path,
        "print('x' * 200_000); print('all ready', flush=True); import time; time.sleep(60)",
    )
    await process.start(marker="all ready")
    await process.ready("all ready", timeout_s=10)
    await process.stop()


async def test_an_early_end_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = child(tmp_path, "import sys; sys.exit('no such model')")
    await process.start(marker="never")
    with pytest.raises(ProcessError, match="no such model"):
        await process.ready("never", timeout_s=10)
    await process.stop()


async def test_a_start_has_a_deadline(tmp_path: Path) -> None:
    process = child(tmp_path, "import time; time.sleep(60)")
    await process.start(marker="never")
    with pytest.raises(ProcessError, match="not ready after"):
        await process.ready("never", timeout_s=0.2)
    await process.stop()


async def test_a_missing_program_is_one_sentence(tmp_path: Path) -> None:
    process = Child("nobody", ["/no/such"], env={}, log=tmp_path / "log", cwd=tmp_path)
    with pytest.raises(ProcessError, match="nobody cannot be started"):
        await process.start()
    await process.stop()


async def test_stop_takes_the_whole_group_even_if_it_ignores_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.processes._STOP_TIMEOUT_S", 0.3)
    process = child(tmp_path, READY_THEN_STUBBORN)
    await process.start(marker="all ready")
    await process.ready("all ready", timeout_s=10)
    grandchild = int((tmp_path / "log").read_text().split()[1])
    assert alive(process.pid)
    assert alive(grandchild)
    await process.stop()
    assert await gone(process.pid)
    assert await gone(grandchild)
