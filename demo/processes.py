"""Child processes: started with a log, awaited by a line of output, stopped for certain."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from pathlib import Path
from typing import IO

LOG_TASK = "log of "
"""Beginning of the name of the task that reads a child's output."""

_LONGEST_LINE = 2**22
"""Bytes. The media server writes lines beyond asyncio's own 64 KiB, and then nobody would read what
it writes after that, until it stands still."""
_STOP_TIMEOUT_S = 10.0
_LAST_LINES = 5


class ProcessError(Exception):
    """A child process did not start; the message holds the end of its output."""


class Child:
    """One child process with everything that it starts itself.

    Args:
        name: What people call it.
        command: Program and arguments.
        env: Its whole environment.
        log: File that takes its output.
        cwd: Its working directory.
    """

    def __init__(
        self, name: str, command: list[str], *, env: dict[str, str], log: Path, cwd: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._recent: deque[str] = deque(maxlen=_LAST_LINES)
        self._line_seen = asyncio.Condition()
        self._matched: set[str] = set()
        self._markers: set[str] = set()

    async def start(self, *, marker: str | None = None) -> None:
        """Start it. `marker` is a text in its output that `ready` can await."""
        if marker:
            self._markers.add(marker)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=_LONGEST_LINE,
                env=self._env,
                cwd=self._cwd,
                # A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
                start_new_session=True,
            )
        except OSError as e:
            raise ProcessError(f"{self.name} cannot be started: {e.strerror}") from None
        self._reader = asyncio.create_task(self._read(self._process), name=f"{LOG_TASK}{self.name}")

    async def ready(self, marker: str, *, timeout_s: float) -> None:
        """Wait until `marker` was printed.

        Raises:
            ProcessError: The process ended first, or the time is over.
        """
        process = self._running()

        def decided() -> bool:
            return marker in self._matched or process.returncode is not None

        try:
            async with asyncio.timeout(timeout_s), self._line_seen:
                await self._line_seen.wait_for(decided)
        except TimeoutError:
            raise ProcessError(self._failure(f"was not ready after {timeout_s:.0f} s")) from None
        if marker not in self._matched:
            raise ProcessError(self._failure("ended during its start"))

    async def stop(self) -> None:
        """Ask it to end, then make it; returns when the whole group is gone."""
        process = self._process
        if process is None:
            return
        try:
            if process.returncode is None:
                process.terminate()  # it alone: a worker ends its own job processes in order
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            _kill_group(process.pid)
            await process.wait()
            if self._reader:
                await self._reader

    @property
    def pid(self) -> int:
        """The process id; its group has the same number."""
        return self._running().pid

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ProcessError(f"{self.name} has not been started")
        return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with self.log.open("wb") as log:
            async for line in process.stdout:
                await self._take(line, log)
        await process.wait()
        async with self._line_seen:
            self._line_seen.notify_all()

    async def _take(self, line: bytes, log: IO[bytes]) -> None:
        log.write(line)
        log.flush()
        text = line.decode(errors="replace").strip()
        if text:
            self._recent.append(text)
        if found := {marker for marker in self._markers if marker in text}:
            async with self._line_seen:
                self._matched |= found
                self._line_seen.notify_all()

    def _failure(self, what: str) -> str:
        recent = "\n  ".join(self._recent)
        return f"{self.name} {what} (whole log: {self.log}). Its last lines:\n  {recent}"


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
