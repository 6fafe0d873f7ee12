"""Find the LiveKit server, or build it.

Standard library only: set-up runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

VERSION = "1.13.5"
"""Newest version that builds with a plain `go install` (later ones have replace directives)."""

ROOT = Path(__file__).resolve().parent.parent
_BUILT = ROOT / ".parley" / "bin" / "livekit-server"
_MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
_IMAGE = f"livekit/livekit-server:v{VERSION}"
_BUILD_TIMEOUT_S = 1800
_DOCKER_TIMEOUT_S = 20


class MediaServerError(Exception):
    """There is no media server and none can be made; the message says what to do."""


def find() -> Path | None:
    """The binary: `LIVEKIT_SERVER_BIN`, `livekit-server` on PATH, or the one built here."""
    if configured := os.environ.get("LIVEKIT_SERVER_BIN"):
        return Path(configured)
    if on_path := shutil.which("livekit-server"):
        return Path(on_path)
    return _BUILT if _BUILT.exists() else None


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
    env = os.environ | {"GOBIN": str(target), "GOFLAGS": "-mod=mod"}
    build = subprocess.run(
        ["go", "install", _MODULE],  # noqa: S607 - the Go on PATH is the one the user chose
        env=env,
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    if build.returncode != 0:
        last = build.stderr.strip().splitlines()[-1:] or ["go install failed"]
        raise MediaServerError(
            f"Building livekit-server failed: {last[0]}. Check the network, or put "
            "`livekit-server` on PATH."
        )
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
