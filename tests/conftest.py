"""What all tests share: no network, one thread each, fixed seeds, and for the apps a server and a browser.

Nothing here imports dcal: the hook that checks its shapes comes after this file, and must come before dcal.
"""

from __future__ import annotations

import inspect
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fixtures.find_browser import NONE_FOUND, find

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 120  # seconds until an app must serve; machines that run tests are slow and shared
LONGEST = (  # files of 40 seconds and more, a minute's browser tests among them: no process gets one of them last
    *("app/test_demo_browser.py", "app/test_accessibility.py", "test_documents.py", "app/test_commands.py"),
    *("app/test_demo_reid_browser.py", "app/test_commands_results.py", "training/test_resume.py"),
    *("app/test_dashboard_browser.py", "training/test_train_reid.py", "model/test_compile.py"),
    *("training/test_distributed.py", "app/test_dashboard.py", "app/view/test_view_faces.py"),
)

# Where processes share cores, threads that wait for each other wait 15 ms for each product of small matrices.
os.environ.update({**OFFLINE, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # of the processes that tests start
torch.set_num_threads(1)


def checked(fn: Any = None, **options: Any) -> Any:
    """jaxtyping's `jaxtyped`, but for functions in functions: each call of the outer one would compile checks anew,
    which took half of the tests' time. The outer ones are checked.
    """
    if fn is None:
        return lambda fn: checked(fn, **options)
    return fn if inspect.isfunction(fn) and "<locals>" in fn.__qualname__ else JAXTYPED(fn, **options)


JAXTYPED, jaxtyping.jaxtyped = jaxtyping.jaxtyped, checked  # what its import hook applies
settings.register_profile("dcal", deadline=None, derandomize=True)  # the same examples everywhere, however slow
settings.load_profile("dcal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as `browser` whatever takes one, so that `-m "not browser"` leaves them all out; puts long files first."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    longest = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: longest.get(item.path, len(longest)))


@pytest.fixture(autouse=True)
def seed() -> int:
    """Seeds Python's, numpy's and torch's generators before every test; the number, for generators of one's own."""
    number = 20220504
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    return number


@pytest.fixture
def generator(seed: int) -> torch.Generator:
    """A torch generator on the CPU that starts each test in the same state."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def browser_path() -> Path:
    """A Chrome or Chromium. Fails, never skips, without one."""
    return find() or pytest.fail(NONE_FOUND)


@pytest.fixture(scope="module")  # not the session: while Playwright runs, nothing else in this thread can run asyncio
def browser(browser_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of 1280 × 900 px. The test fails if the page asks any other host for anything."""
    outside: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(120_000)  # as patient as for the apps: the machine may be busy
    context.on("request", lambda request: None if _is_local(request.url) else outside.append(request.url))
    yield context.new_page()
    context.close()
    assert not outside, f"the page went to other hosts: {sorted(set(outside))}"


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`serve("-m", "dcal_explorer.demo")` runs this Python with these arguments and gives the app's address.

    Names given with a value are its environment. The app finds its free port in GRADIO_SERVER_PORT and
    STREAMLIT_SERVER_PORT, or in an argument as "{port}". The same call gives the same running app; all of them end with
    the session.
    """
    running: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], str]] = {}

    def start(*arguments: str, **environment: str) -> str:
        call = (*arguments, *map(str, sorted(environment.items())))
        if call not in running:
            port = _free_port()
            log = tmp_path_factory.mktemp("serve") / "log.txt"
            command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
            ports = {"GRADIO_SERVER_PORT": str(port), "STREAMLIT_SERVER_PORT": str(port)}
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **ports, **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            running[call] = process, f"http://127.0.0.1:{port}"
            _wait_until_served(process, running[call][1], log)
        return running[call][1]

    yield start
    for process, _ in running.values():
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_served(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    state = "still runs" if process.poll() is None else f"ended with {process.returncode}"
    pytest.fail(f"nothing at {url} after {PATIENCE} s at most; the app {state} and says:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in {"http", "https", "ws", "wss"} or parts.hostname in {"127.0.0.1", "localhost"}
