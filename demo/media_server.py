"""Find the LiveKit server, or build it.

Standard library only: set-up runs before anything is installed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import binaries
from .binaries import BUILT, ROOT

VERSION = "1.13.5"
"""Newest version that builds with a plain `go install` (later ones have replace directives)."""

_BUILT = BUILT / "livekit-server"
_MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
_IMAGE = f"livekit/livekit-server:v{VERSION}"
_DOCKER_TIMEOUT_S = 20


class MediaServerError(Exception):
    """There is no media server and none can be made; the message says what to do."""


def find() -> Path | None:
    """The binary: `LIVEKIT_SERVER_BIN`, `livekit-server` on PATH, or the one built here."""
    return binaries.find("livekit-server", variable="LIVEKIT_SERVER_BIN", built=_BUILT)


def command() -> list[str]:
    """The start of the server's command line.

    Raises:
        MediaServerError: Neither a binary nor a container image can be run.
    """
    if binary := find():
        return [str(binary)]
    if _docker_runs():
        mount = f"{ROOT / 'livekit.yaml'}:{ROOT / 'livekit.yaml'}:ro"
        keys = ["--env", "LIVEKIT_KEYS"]
        return ["docker", "run", "--rm", "--network", "host", *keys, "--volume", mount, _IMAGE]
    raise MediaServerError(
        "No LiveKit server: install Go (go.dev/dl) and run `make setup`, or start Docker, "
        "or put `livekit-server` on PATH."
    )


def ensure(say: Callable[[str], None]) -> None:
    """Build the server with Go unless there is one or Docker can run its image.

    Args:
        say: Told what is going on, since a build takes a minute or two.

    Raises:
        MediaServerError: There is no Go and no Docker, or the build failed.
    """
    if find():
        return
    if shutil.which("go") is None:
        command()  # with Docker there is nothing to build; without it, this says what to do
        return
    say(f"building livekit-server {VERSION} with Go, once (1 to 3 minutes)")
    target = _BUILT.parent
    target.mkdir(parents=True, exist_ok=True)
    try:
        binaries.build(["install", _MODULE], env={"GOBIN": str(target), "GOFLAGS": "-mod=mod"})
    except binaries.BuildError as e:
        raise MediaServerError(
            f"Building livekit-server failed: {e}. Check the network, or put "
            "`livekit-server` on PATH."
        ) from None
    (target / "server").replace(_BUILT)


def _docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    info = subprocess.run(
        ["docker", "info"],  # noqa: S607 - the Docker on PATH is the one the user chose
        capture_output=True,
        timeout=_DOCKER_TIMEOUT_S,
        check=False,
    )
    return info.returncode == 0
