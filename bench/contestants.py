"""Who takes part, and how each is started."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.environment import PEERS_PYTHON
from demo.binaries import ROOT


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One line of the table.

    Attributes:
        name: As in the table and in `--only`.
        command: The program; `AGENT_NAME` and where server and gateway are come by environment.
        how: `worker` registers once and is dispatched; `joins` is a process for each call; `loop`
            needs no room and measures itself.
        env: Further environment.
        peers_env: Whether it needs the peers' own packages.
        ours: Whether it is Parley.
    """

    name: str
    command: tuple[str, ...]
    how: Literal["worker", "joins", "loop"]
    env: dict[str, str] = field(default_factory=dict)
    peers_env: bool = False
    ours: bool = False


def contestants(folder: Path) -> list[Contestant]:
    """All of them, in the order of the table.

    Args:
        folder: Where our worker keeps its database and phrases during the run.
    """
    parley = {
        "AGENT_STT": "local:sim/stt",
        "AGENT_LLM": "local:sim/llm",
        "AGENT_TTS": "local:sim/tts:sim",
        "AGENT_GREETING": "",
        "AGENT_HEALTH_PORT": "0",
        "AGENT_MAX_CALLS": "4",
        "AGENT_STORE": str(folder / "store.db"),
        "AGENT_PHRASES": str(folder / "phrases"),
    }
    own, theirs = sys.executable, str(PEERS_PYTHON)
    start = (own, str(ROOT / "agent.py"), "start")
    return [
        Contestant(name="parley", command=start, how="worker", env=parley, ours=True),
        Contestant(
            name="parley-no-openers",
            command=start,
            how="worker",
            env=parley | {"AGENT_OPENERS": "", "AGENT_PHRASES": str(folder / "no-phrases")},
            ours=True,
        ),
        _worker("livekit-stock", own, "bench.peers.livekit_stock"),
        _worker("livekit-tuned", own, "bench.peers.livekit_tuned"),
        _joining("pipecat-stock", theirs, "bench.peers.pipecat_stock"),
        _joining("pipecat-tuned", theirs, "bench.peers.pipecat_tuned"),
        Contestant(name="seed-loop", command=(own, "-m", "bench.peers.seed_loop"), how="loop"),
    ]


def _worker(name: str, python: str, module: str) -> Contestant:
    return Contestant(name=name, command=(python, "-m", module, "start"), how="worker")


def _joining(name: str, python: str, module: str) -> Contestant:
    return Contestant(name=name, command=(python, "-m", module), how="joins", peers_env=True)
