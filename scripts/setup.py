"""Set up this checkout: a virtual environment from the lock, a media server, and the page.

Needs nothing but Python 3.11 and its standard library; the page needs Node.js and is left out
without it. Run again it does nothing, without the network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "all.lock"
STAMP = VENV / "parley-setup"
MINIMUM = (3, 11)
WEB = ROOT / "web"
PAGE_STAMP = ROOT / ".parley" / "page"
PACKAGES_STAMP = WEB / "node_modules" / "parley-setup"
NODE_MINIMUM = (20, 19)
NPM_TIMEOUT_S = 300


def main() -> None:
    """Set up, or say in one sentence why not."""
    if sys.version_info < MINIMUM:
        sys.exit(
            f"Parley needs Python 3.11 or newer, this is {sys.version.split()[0]}. "
            "Install it and run `make setup PYTHON=python3.11`."
        )
    sys.path.insert(0, str(ROOT))
    # One waits for the network while another has the processor.
    with ThreadPoolExecutor() as jobs:
        parts = [jobs.submit(part) for part in (install, get_media_server, build_page)]
    for part in parts:
        part.result()


def get_media_server() -> None:
    """See to it that there is a media server."""
    from demo import media_server

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


def build_page() -> None:
    """Build the page to talk from, unless it is up to date; without Node.js, say so and go on."""
    packages = _digest([WEB / "package-lock.json"])
    page = _digest([path for path in _page_sources() if path.is_file()])
    built = (WEB / "dist" / "index.html").exists()
    if built and PAGE_STAMP.exists() and PAGE_STAMP.read_text() == page:
        return
    if not _node_is_new_enough():
        version = ".".join(map(str, NODE_MINIMUM))
        say(f"no page to talk from: building it needs Node.js {version} or newer with npm")
        return
    say("building the page to talk from, once (under half a minute)")
    if not PACKAGES_STAMP.exists() or PACKAGES_STAMP.read_text() != packages:
        if not npm("ci", "--no-audit", "--no-fund"):
            return
        PACKAGES_STAMP.write_text(packages)
    if npm("run", "build"):
        PAGE_STAMP.parent.mkdir(parents=True, exist_ok=True)
        PAGE_STAMP.write_text(page)


def npm(*arguments: str) -> bool:
    """Run npm in `web/`; its output is shown only when it fails. Tells whether it went well."""
    try:
        run = subprocess.run(
            ["npm", *arguments],  # noqa: S607 - the npm on PATH is the one the user chose
            cwd=WEB,
            capture_output=True,
            text=True,
            check=False,
            timeout=NPM_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        say(f"no page to talk from: npm took more than {NPM_TIMEOUT_S} s; is the network up?")
        return False
    if run.returncode != 0:
        last = "\n".join((run.stderr.strip() or run.stdout.strip()).splitlines()[-3:])
        say(f"no page to talk from: `npm {' '.join(arguments)}` failed in web/. {last}")
    return run.returncode == 0


def _page_sources() -> list[Path]:
    named = ("package-lock.json", "index.html", "vite.config.ts", "tsconfig.json")
    return [*(WEB / name for name in named), *sorted((WEB / "src").rglob("*"))]


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(WEB)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _node_is_new_enough() -> bool:
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    run = subprocess.run(
        ["node", "--version"],  # noqa: S607 - the Node on PATH is the one the user chose
        capture_output=True,
        text=True,
        check=False,
    )
    parts = run.stdout.strip().removeprefix("v").split(".")[:2]
    return all(p.isdigit() for p in parts) and tuple(map(int, parts)) >= NODE_MINIMUM


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    main()
