"""The peers' own virtual environment, made on demand from a lock with hashes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from demo.binaries import ROOT

LOCK = Path(__file__).with_name("peers.lock")
FOLDER = ROOT / ".parley" / "bench-venv"
PEERS_PYTHON = FOLDER / "bin" / "python"
_INSTALL_TIMEOUT_S = 900


class PeersUnavailable(Exception):
    """The peers' packages cannot be had; the message says why and what to do."""


def ensure(say: Callable[[str], None], *, folder: Path = FOLDER, lock: Path = LOCK) -> None:
    """Make the environment match the lock; a stamp tells that it already does.

    Args:
        say: Told what takes time.
        folder: The environment.
        lock: What it holds.

    Raises:
        PeersUnavailable: It could not be made.
    """
    stamp = folder / "parley-bench"
    wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version_info[:2]}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing the peers' packages into {folder.name}, once (1 to 4 minutes)")
    stamp.unlink(missing_ok=True)
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        _run(*pip, "install", "--quiet", "--require-hashes", "--requirement", str(lock))
    except (subprocess.SubprocessError, OSError) as e:
        raise PeersUnavailable(
            f"The peers' packages could not be installed ({_reason(e)}). Is the network up? "
            "`--only parley,livekit-stock` runs those that need none."
        ) from None
    stamp.write_text(wanted)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=_INSTALL_TIMEOUT_S)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr or "").strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return str(error)
