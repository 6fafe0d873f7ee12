"""Find Redis or install it, and how it is started beside the rest. Standard library only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from . import debian

READY = "Ready to accept connections"
"""In its log once it takes connections."""


def find() -> Path | None:
    """Redis, or Valkey, which is its successor in some distributions."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def ensure(say: Callable[[str], None]) -> None:
    """Make sure that there is Redis.

    Args:
        say: Told what is going on.

    Raises:
        debian.PackagesMissing: There is none and none can be installed.
    """
    if find() is None:
        debian.install(("redis-server",), "Redis", say)


def command(*, host: str, port: int, folder: Path) -> list[str]:
    """How it is started; what it holds outlives it in `folder`.

    Raises:
        debian.PackagesMissing: There is no Redis.
    """
    binary = find()
    if binary is None:
        raise debian.PackagesMissing(
            "There is no Redis. `make phone` installs it; elsewhere, put `redis-server` on PATH."
        )
    options = {
        "--bind": host,
        "--port": str(port),
        "--dir": str(folder),
        "--appendonly": "yes",
        "--save": "",
    }
    return [str(binary), *(part for option in options.items() for part in option)]
