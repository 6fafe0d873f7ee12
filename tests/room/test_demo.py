"""`make demo ONCE=1` on a machine without any network, as the README promises."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 170

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_the_demo_passes_with_no_network_at_all() -> None:
    assert shutil.which("unshare"), "this test needs Linux and util-linux's `unshare`"
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    in_the_dark = ["unshare", "--net", *as_root, sys.executable, "-c", LOOPBACK_UP]
    run = subprocess.run(
        [*in_the_dark, "make", "demo", "ONCE=1", "PORTS=free"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    talk = run.stdout + run.stderr
    assert run.returncode == 0, talk
    summary = json.loads(run.stdout.strip().splitlines()[-1])
    assert summary["ok"], talk
    assert len(summary["turns"]) == 5
    for turn in summary["turns"]:
        assert set(turn) == {"said", "heard", "reply_ms", "barge_in_stop_ms"}
    assert [turn["barge_in_stop_ms"] is not None for turn in summary["turns"]] == [
        False, False, False, True, False,
    ]  # fmt: skip
    assert (ROOT / summary["recording"]).stat().st_size > 1_000_000


def test_ctrl_c_stops_everything_that_was_started() -> None:
    command = [sys.executable, "agent.py", "demo", "--ports", "free"]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "gateway is up" in line:
            break
    started = psutil.Process(demo.pid).children(recursive=True)
    assert len(started) >= 3, "media server, gateway and worker"
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert "Stopped" in rest
    assert [child for child in started if child.is_running()] == []
