"""See to it that the tests find what they need: a browser, and the page built from these sources.

Installs what is missing where it may; otherwise one sentence says what to install. Nothing is ever
left out of a test run in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NEEDED = (ROOT / "web" / "dist" / "index.html", ROOT / "web" / "node_modules" / "axe-core")
INSTALL_TIMEOUT_S = 600


def main() -> None:
    """Check, install, or exit with 1 and a sentence."""
    if not any(shutil.which(name) for name in BROWSERS):
        install_browser()
    if missing := [path for path in NEEDED if not path.exists()]:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        sys.exit(
            f"The page's tests need {names}. Install Node.js 20.19 or newer with npm and run "
            "`make setup`."
        )


def install_browser() -> None:
    """Install Chromium with apt where we are root; say what to install where not."""
    advice = "The page's tests need Chromium (Debian and Ubuntu: apt-get install chromium)."
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(advice)
    print("tests: installing the package chromium, once", flush=True)
    apt("update")  # images come without lists; where this fails, the ones there are may do
    run = apt("install", "--yes", "--no-install-recommends", "chromium")
    if run.returncode != 0 or shutil.which("chromium") is None:
        last = (run.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        sys.exit(f"{advice} Installing it failed: {last}")


def apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run apt-get without questions."""
    return subprocess.run(
        ["apt-get", *arguments],  # noqa: S607 - the system's own
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )


if __name__ == "__main__":
    main()
