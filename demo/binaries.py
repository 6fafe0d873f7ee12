"""Servers that are used as they are found, or else built with Go. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".parley" / "bin"
_BUILD_TIMEOUT_S = 1800


class BuildError(Exception):
    """The Go compiler failed; the message is the last that it said."""


def find(name: str, *, variable: str, built: Path) -> Path | None:
    """A server's program: where `variable` says, `name` on PATH, or the one built here."""
    if configured := os.environ.get(variable):
        return Path(configured)
    if on_path := shutil.which(name):
        return Path(on_path)
    return built if built.exists() else None


def build(
    arguments: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> None:
    """Run Go.

    Args:
        arguments: What Go is told.
        cwd: Where it runs.
        env: Further environment.

    Raises:
        BuildError: It failed.
    """
    run = subprocess.run(
        ["go", *arguments],  # noqa: S607 - the Go on PATH is the one the user chose
        cwd=cwd,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError((run.stderr.strip().splitlines() or ["Go said nothing"])[-1])
