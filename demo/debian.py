"""Install Debian packages where we may, and say how where we may not. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

INSTALL_TIMEOUT_S = 600


class PackagesMissing(Exception):
    """Something is not installed and cannot be; the message says what to do."""


def install(packages: tuple[str, ...], what: str, say: Callable[[str], None]) -> None:
    """Install packages.

    Args:
        packages: Their names.
        what: What they are, for the message: "Redis".
        say: Told what is going on.

    Raises:
        PackagesMissing: We are not root, this is no Debian, or it failed.
    """
    names = " ".join(packages)
    advice = f"{what} is missing (Debian and Ubuntu: apt-get install {names})."
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissing(advice)
    say(f"installing {names}, once")
    _apt("update")  # images come without lists; where this fails, the ones there are may do
    run = _apt("install", "--yes", "--no-install-recommends", *packages)
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        raise PackagesMissing(f"{advice} Installing it failed: {last}")


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", *arguments],  # noqa: S607 - the system's own
        # In the runlevel of maintenance, a package does not start its service on the usual port.
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
