"""What this machine owes a worker: room on disk, free ports, the local models."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from ..config import Settings
from .findings import Finding, State

SUBJECT = "machine"

_FREE_BYTES_WANTED = 200 * 1024 * 1024
"""Orders and phrases are small; a disk with less than this is about to be full of something."""

_TRIAL_BYTES = 1024 * 1024
"""Enough not to fit where a file system keeps small files in its own tables."""

_MODEL_TIMEOUT_S = 30.0


async def examine_machine(settings: Settings) -> list[Finding]:
    """Disk, ports and local models."""
    folders = {settings.store_path.parent: "AGENT_STORE", settings.phrases_path: "AGENT_PHRASES"}
    disks = [await asyncio.to_thread(_disk, folder, name) for folder, name in folders.items()]
    ports = {settings.health_port: "AGENT_HEALTH_PORT", settings.metrics_port: "AGENT_METRICS_PORT"}
    taken = [_port(port, name) for port, name in ports.items() if port]
    return [*disks, *taken, *await _models(settings)]


def _disk(folder: Path, variable: str) -> Finding:
    """Write something and take it away again: quotas and read-only mounts show only so."""

    def finding(state: State, found: str, fix: str = "") -> Finding:
        return Finding(subject=SUBJECT, check=f"disk {folder}", state=state, found=found, fix=fix)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as trial:
            trial.write(bytes(_TRIAL_BYTES))
            trial.flush()
            os.fsync(trial.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "Free some space" if full else "Make the folder writable for this user"
        return finding(
            State.FAIL, e.strerror or type(e).__name__, f"{fix}, or set {variable} to another one."
        )
    if free < _FREE_BYTES_WANTED:
        return finding(State.WARN, f"{free >> 20} MiB free", "Free some space before it is full.")
    return finding(State.OK, f"writable, {free >> 30} GiB free")


def _port(port: int, variable: str) -> Finding:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError as e:
            return Finding(
                subject=SUBJECT,
                check=f"port {port}",
                state=State.WARN,
                found=(e.strerror or type(e).__name__).lower(),
                fix=f"Another worker may have it; for a second one, set {variable}=0.",
            )
    return Finding(subject=SUBJECT, check=f"port {port}", state=State.OK, found="free")


async def _models(settings: Settings) -> list[Finding]:
    # Imported here: the framework takes seconds to import.
    from ..turns import load_vad, open_turn_model

    async def hear_turns() -> None:
        await open_turn_model().aclose()

    async def load_detector() -> None:
        await asyncio.to_thread(load_vad, settings)

    found = [await _model("voice activity model", load_detector)]
    if settings.turn.turn_model:
        found.append(await _model("turn model", hear_turns))
    return found


async def _model(name: str, load: Callable[[], Awaitable[object]]) -> Finding:
    started = time.monotonic()
    try:
        async with asyncio.timeout(_MODEL_TIMEOUT_S):
            await load()
    except Exception as e:  # whatever is wrong with a model's files, the doctor goes on
        return Finding(
            subject=SUBJECT,
            check=name,
            state=State.FAIL,
            found=f"does not load ({type(e).__name__})",
            fix="Install the locked packages again: `make clean setup`.",
        )
    took_ms = (time.monotonic() - started) * 1000
    return Finding(subject=SUBJECT, check=name, state=State.OK, found=f"loads in {took_ms:.0f} ms")
