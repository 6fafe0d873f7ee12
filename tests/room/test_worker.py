"""The worker's commands against a real media server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo.binaries import ROOT
from demo.processes import Child
from demo.stack import Stack

REGISTERED = "registered worker"
TIMEOUT_S = 60


@pytest.mark.parametrize("command", ["dev", "start"])
async def test_registers_with_the_server_of_the_environment(
    stack: Stack, tmp_path: Path, command: str
) -> None:
    other = {"AGENT_NAME": "somebody-else", "AGENT_METRICS_PORT": "0"}  # takes no call, no port
    env = stack._worker_env() | other
    log = tmp_path / "worker.log"
    worker = Child("worker", [sys.executable, "agent.py", command], env=env, log=log, cwd=ROOT)
    await worker.start(marker=REGISTERED)
    try:
        await worker.ready(REGISTERED, timeout_s=TIMEOUT_S)
    finally:
        await worker.stop()
    assert "Traceback" not in log.read_text()
