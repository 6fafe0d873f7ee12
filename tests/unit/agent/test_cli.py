"""The command line as a person meets it: in a process of its own, from an empty folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def agent(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "agent.py"), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command(tmp_path: Path) -> None:
    run = agent("--help", cwd=tmp_path)
    assert run.returncode == 0
    for command in ("dev", "start", "console", "connect", "demo", "call"):
        assert f" {command} " in run.stdout


def test_worker_commands_have_livekits_own_help(tmp_path: Path) -> None:
    run = agent("start", "--help", cwd=tmp_path)
    assert run.returncode == 0
    assert "--drain-timeout" in run.stdout


@pytest.mark.parametrize("command", ["dev", "start", "console"])
def test_a_missing_key_is_one_sentence_with_a_way_on(tmp_path: Path, command: str) -> None:
    run = agent(command, cwd=tmp_path)
    assert run.returncode == 1
    assert "AIGATEWAY_API_KEY" in run.stderr
    assert "make demo" in run.stderr
    assert "Traceback" not in run.stderr


def test_production_refuses_the_development_key(tmp_path: Path) -> None:
    run = agent("start", cwd=tmp_path, AIGATEWAY_API_KEY="canary-4711")
    assert run.returncode == 1
    assert "LIVEKIT_API_SECRET" in run.stderr
    assert "canary" not in run.stderr + run.stdout


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    run = agent("dev", cwd=tmp_path, AGENT_STT="nobody:x")
    assert run.returncode == 1
    assert "AGENT_STT" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("command", "variable"), [("dev", "AGENT_METRICS_PORT"), ("start", "AGENT_HEALTH_PORT")]
)
def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, command: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {
            variable: str(taken.getsockname()[1]),
            "AIGATEWAY_API_KEY": "key",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": "canary-4711",
        }
        run = agent(command, cwd=tmp_path, **settings)
    assert run.returncode == 1
    assert len(run.stderr.strip().splitlines()) == 1
    assert variable in run.stderr


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    run = agent("sing", cwd=tmp_path)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
