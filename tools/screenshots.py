"""Screenshots of every page of both faces, to be looked at: `python -m tools.screenshots --out DIR`.

Each page on a desktop (1400 × 900), on a phone (390 × 844) and in dark mode. `--only demo` takes one face. The README's
images are made by the same functions: `--readme` writes docs/images/.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.fixtures.find_browser import NONE_FOUND, find

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PATIENCE = 120  # seconds until a face must serve
SETTLED = 4_000  # ms after the last request; charts and images are drawn by then
# What says in a page that something is being computed: streamlit's script and spinner, gradio's progress.
BUSY = "[data-test-script-state=running], [data-testid=stSpinner], .progress-text, .generating"
DASHBOARD = str(ROOT / "app" / "dcal_explorer" / "dashboard" / "server.py")


@dataclass(frozen=True)
class Screen:
    name: str
    width: int
    height: int
    dark: bool = False


SCREENS = (Screen("desktop", 1400, 900), Screen("phone", 390, 844), Screen("dark", 1400, 900, dark=True))
README_SCREEN = Screen("readme", 1400, 1000)
MATCH_SCREEN = Screen("readme", 1400, 1700)  # a ranking, and why its first image matched
DEMO_TABS = ("Inspect", "Compare", "Re-identify")
DASHBOARD_PAGES = ("", "compare", "reidentify", "images", "ablations", "retrieval", "twins", "runs")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "screenshots", help="folder to write to")
    parser.add_argument("--only", choices=("demo", "dashboard"), help="one face alone")
    parser.add_argument("--readme", action="store_true", help="write the images of the README to docs/images/ instead")
    options = parser.parse_args()
    out = ROOT / "docs" / "images" if options.readme else options.out
    out.mkdir(parents=True, exist_ok=True)
    path = find()
    if path is None:
        print(NONE_FOUND, file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        if options.only != "dashboard":
            with served("-m", "dcal_explorer.demo", "--no-browser") as url:
                if options.readme:
                    shoot_readme(browser, url, out)
                else:
                    shoot_demo(browser, url, out, SCREENS)
        if options.only != "demo" and not options.readme:
            with served("-m", "streamlit", "run", DASHBOARD) as url:
                shoot_dashboard(browser, url, out, SCREENS)
        browser.close()
    return 0


def shoot_demo(browser: Browser, url: str, out: Path, screens: tuple[Screen, ...]) -> None:
    """Every tab of the demo on every screen, with the first sample inspected and a query ranked."""
    for screen in screens:
        with opened(browser, screen, f"{url}/?__theme={'dark' if screen.dark else 'light'}") as page:
            for name in DEMO_TABS:
                page.get_by_role("tab", name=name, exact=True).first.click(timeout=PATIENCE * 1000)
                page.locator(".dcal-host canvas, #hits button").locator("visible=true").first.wait_for(
                    timeout=PATIENCE * 1000
                )
                save(page, out / f"demo-{name.lower()}-{screen.name}.png")


def shoot_readme(browser: Browser, url: str, out: Path) -> None:
    """The two images of the README: the first sample inspected, and the first match of the first query explained."""
    with opened(browser, README_SCREEN, f"{url}/?__theme=light") as page:
        page.locator("#predictions li").first.wait_for(timeout=PATIENCE * 1000)
        save(page, out / "demo.png")
    with opened(browser, MATCH_SCREEN, f"{url}/?__theme=light&tab=reidentify") as page:
        page.locator("#hits button").first.click(timeout=PATIENCE * 1000)
        page.locator("#pair-drawing img").wait_for(timeout=PATIENCE * 1000)
        save(page, out / "reidentify.png")


def shoot_dashboard(browser: Browser, url: str, out: Path, screens: tuple[Screen, ...]) -> None:
    """Every page of the dashboard on every screen."""
    for screen in screens:
        for name in DASHBOARD_PAGES:
            with opened(browser, screen, f"{url}/{name}") as page:
                save(page, out / f"dashboard-{name or 'first'}-{screen.name}.png")


@contextmanager
def opened(browser: Browser, screen: Screen, url: str) -> Iterator[Page]:
    """A fresh page of that size and colour scheme, closed afterwards."""
    context = browser.new_context(
        viewport={"width": screen.width, "height": screen.height},
        color_scheme="dark" if screen.dark else "light",
    )
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def save(page: Page, path: Path) -> None:
    """What the page shows once it is quiet."""
    page.wait_for_timeout(SETTLED)
    page.wait_for_function(f"() => !document.querySelector('{BUSY}')", timeout=PATIENCE * 1000)
    page.wait_for_timeout(SETTLED // 4)
    page.screenshot(path=path)
    print(path)


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address of a face that runs until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ports = {"GRADIO_SERVER_PORT": str(port), "STREAMLIT_SERVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **ports})
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns once `url` answers. Raises RuntimeError if it does not in time, or its process ends."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"nothing answers at {url}: the process {'ended' if process.poll() is not None else 'is slow'}")


if __name__ == "__main__":
    sys.exit(main())
