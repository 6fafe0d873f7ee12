"""Set up this checkout: a virtual environment from the lock, and a media server.

Needs nothing but Python 3.11 and its standard library. Run again it does nothing, without the
network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "all.lock"
STAMP = VENV / "parley-setup"
MINIMUM = (3, 11)


def main() -> None:
    """Set up, or say in one sentence why not."""
    if sys.version_info < MINIMUM:
        sys.exit(
            f"Parley needs Python 3.11 or newer, this is {sys.version.split()[0]}. "
            "Install it and run `make setup PYTHON=python3.11`."
        )
    sys.path.insert(0, str(ROOT))
    from demo import media_server

    install()
    try:
        media_server.ensure(say)
    except media_server.MediaServerError as e:
        sys.exit(str(e))


def install() -> None:
    """Make the virtual environment match the lock; a stamp tells that it already does."""
    plugins = sorted((ROOT / "plugins").glob("*/pyproject.toml"))
    digest = hashlib.sha256()
    for file in [LOCK, *plugins]:
        digest.update(file.read_bytes())
    wanted = f"{digest.hexdigest()} {ROOT} {sys.version_info[:2]}"
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    say("installing the locked packages into .venv, once (1 to 3 minutes)")
    STAMP.unlink(missing_ok=True)
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "Python's venv module is incomplete. On Debian or Ubuntu: apt install python3-venv"
        )
    pip("install", "--require-hashes", "--requirement", str(LOCK))
    for plugin in plugins:
        folder = str(plugin.parent)
        pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", folder)
    STAMP.write_text(wanted)


def pip(*arguments: str) -> None:
    """Run the environment's pip; its output is shown only when it fails."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    run = subprocess.run(
        [*command, *arguments, "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    if run.returncode != 0:
        last = (run.stderr.strip() or run.stdout.strip()).splitlines()[-3:]
        sys.exit("Installing packages failed; is the network up?\n" + "\n".join(last))


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    main()
