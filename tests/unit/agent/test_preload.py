"""What job processes inherit from the process they are forked from."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys, threading
import agent.preload
from livekit.agents.tokenize import _basic_hyphenator
from livekit.agents.utils import http_context
from livekit.plugins.gatewaykit import schemas
from openai.types.chat import ChatCompletionChunk
assert _basic_hyphenator._get_hyphenator.cache_info().currsize == 1
assert http_context._ssl_context_for.cache_info().currsize == 1
assert ChatCompletionChunk.__pydantic_complete__
assert len(schemas._known) == 2  # an agent's in a room, an agent's on the telephone
assert {"agent.worker", "anyio._backends._asyncio", "openai.resources.models"} <= set(sys.modules)
threads = [thread.name for thread in threading.enumerate()]
assert threads == ["MainThread"], f"not to be forked: {threads}"
"""


def test_the_work_is_done_and_the_process_may_be_forked() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, check=False, timeout=55
    )
    assert run.returncode == 0, run.stderr[-2000:]
