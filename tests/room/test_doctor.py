"""The doctor in front of a real media server: all well, and a secret that is another one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from demo.binaries import ROOT
from demo.stack import Stack

TIMEOUT_S = 120


async def doctor(stack: Stack, *arguments: str, **changed: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of the command."""
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "agent.py", "doctor", "--json", *arguments],
        env=stack._worker_env() | {"AGENT_METRICS_PORT": "0"} | changed,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, json.loads(run.stdout)


async def test_a_set_up_that_takes_calls(stack: Stack) -> None:
    code, report = await doctor(stack)
    assert [f for f in report["findings"] if f["state"] == "fail"] == []
    assert code == 0
    assert report["can_take_a_call"]
    states = {(f["subject"].split(":")[0], f["check"]): f["state"] for f in report["findings"]}
    assert states["media server", "media"] == "ok"
    assert states["machine", "clock"] == "ok"
    assert states["stt local", "streams"] == "ok"
    assert states["local", "wrong key"] == "ok"
    assert states["tts local", "cancels"] == "ok"


async def test_wrong_livekit_secret(stack: Stack) -> None:
    wrong = "another-secret-that-is-long-enough-to-be-one"
    code, report = await doctor(stack, "--only", "server", LIVEKIT_API_SECRET=wrong)
    assert code == 1
    [refused] = [f for f in report["findings"] if f["state"] == "fail"]
    assert refused["check"] == "credentials"
    assert "LIVEKIT_API_SECRET" in refused["fix"]
    assert wrong not in str(report)
