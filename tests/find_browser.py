"""A Chrome or Chromium for the browser tests: find one, or get one.

python tests/find_browser.py          prints its path; fails if there is none
python tests/find_browser.py --get    first installs one if there is none
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

COMMANDS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
NONE_FOUND = (
    f"the browser tests need Chrome or Chromium, and there is none (no {', '.join(COMMANDS)}, nor Playwright's own): "
    "install one, or set CHROME to its path, or run `python tests/find_browser.py --get`"
)


def find() -> Path | None:
    """$CHROME, else a browser on PATH, a macOS application, or Playwright's own; None if there is none.

    Raises FileNotFoundError if $CHROME is set and is neither a program's path nor its name.
    """
    wanted = os.environ.get("CHROME")
    if wanted:
        if found := shutil.which(wanted):
            return Path(found)
        raise FileNotFoundError(f"CHROME is {wanted!r}, which is no program: correct it or unset it")
    candidates = [*filter(None, map(shutil.which, COMMANDS)), *APPLICATIONS, _playwright_path()]
    return next((Path(path) for path in candidates if Path(path).is_file()), None)


def get() -> Path | None:
    """`find()`, after installing a browser if there is none: the system's package where we may, else Playwright's."""
    for install in (_install_package, _install_playwright):
        if found := find():
            return found
        install()
    return find()


def _install_package() -> None:
    root = ["sudo", "-n"] if os.geteuid() else []
    if not shutil.which("apt-get") or subprocess.run([*root, "true"], capture_output=True, check=False).returncode:
        return
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    _run(*apt, "update")
    # Without a font the pages have no text, and without recommendations no font comes along.
    _run(*apt, "install", "--yes", "--no-install-recommends", "chromium", "fonts-liberation")


def _install_playwright() -> None:
    _run(sys.executable, "-m", "playwright", "install", "chromium")


def _playwright_path() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _run(*command: str) -> None:
    """Runs a command that may fail (the caller looks again for a browser); its output goes to stderr."""
    print("+", *command, file=sys.stderr, flush=True)
    subprocess.run(command, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    path = get() if "--get" in sys.argv[1:] else find()
    if path is None:
        sys.exit(NONE_FOUND)
    print(path)
