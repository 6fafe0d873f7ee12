"""See to it that the tests find what they need: a browser, the built page, Redis.

Installs what is missing where it may; otherwise one sentence says what to install. Nothing is ever
left out of a test run in silence. With the argument `bridge` it is the phone bridge instead, which
is built with what time the tests leave.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo import debian, redis, sip_bridge  # noqa: E402 - found by the line above

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NEEDED = (ROOT / "web" / "dist" / "index.html", ROOT / "web" / "node_modules" / "axe-core")


def main() -> None:
    """Check, install, or exit with 1 and a sentence."""
    try:
        if "bridge" in sys.argv[1:]:
            os.nice(19)
            sip_bridge.ensure(say)
        else:
            _ensure_page()
            if not any(shutil.which(name) for name in BROWSERS):
                debian.install(("chromium",), "Chromium, for the page's tests,", say)
            redis.ensure(say)
    except debian.PackagesMissing as e:
        sys.exit(str(e))


def _ensure_page() -> None:
    if missing := [path for path in NEEDED if not path.exists()]:
        names = ", ".join(str(path.relative_to(ROOT)) for path in missing)
        sys.exit(
            f"The page's tests need {names}. Install Node.js 20.19 or newer with npm and run "
            "`make setup`."
        )


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"tests: {text}", flush=True)


if __name__ == "__main__":
    main()
