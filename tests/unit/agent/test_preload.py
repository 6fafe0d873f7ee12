"""What job processes inherit from the process they are forked from."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys, threading
import agent.preload
from livekit.agents.tokenize import _basic_hyphenator
from livekit.agents.utils import http_context
assert _basic_hyphenator._get_hyphenator.cache_info().currsize == 1
assert http_context._ssl_context_for.cache_info().currsize == 1
assert {"agent.worker", "anyio._backends._asyncio", "openai.resources.models"} <= set(sys.modules)
threads = [thread.name for thread in threading.enumerate()]
assert threads == ["MainThread"], f"not to be forked: {threads}"
"""


def test_the_work_is_done_and_the_process_may_be_forked() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, check=False, timeout=55
    )
    assert run.returncode == 0, run.stderr[-2000:]
