"""`dcal demo` and `dcal dashboard`: the faces in the browser, each with its own options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path


def run(name: str, words: Sequence[str]) -> int:
    return demo(words) if name == "demo" else dashboard(words)


def demo(words: Sequence[str]) -> int:
    from dcal_explorer.demo.program import main

    return main([hyphened(word) for word in words])


def dashboard(words: Sequence[str]) -> int:
    """Serve the dashboard until it is stopped, on this machine's own address alone."""
    from dcal_explorer.content.places import CHECKPOINTS, CHECKPOINTS_VARIABLE

    parser = argparse.ArgumentParser(prog="dcal dashboard", description="Checkpoints side by side, in the browser.")
    parser.add_argument("--port", type=int, help="default: the first free one from 8501 (or $STREAMLIT_SERVER_PORT)")
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="a folder of checkpoints")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="do not open the browser")
    options = parser.parse_args([hyphened(word) for word in words])
    from streamlit.web import cli

    os.environ[CHECKPOINTS_VARIABLE] = str(options.checkpoints)
    # What the checkout's .streamlit/config.toml says; installed elsewhere, there is no such file.
    settings = {
        **{"browser.gatherUsageStats": "false", "client.showErrorDetails": "none", "client.toolbarMode": "minimal"},
        **{"server.address": "127.0.0.1", "server.fileWatcherType": "none", "server.maxUploadSize": "20"},
        "server.headless": "false" if options.browser else "true",
    }
    if options.port is not None:
        settings["server.port"] = str(options.port)
    flags = [f"--{name}={value}" for name, value in settings.items()]
    program = Path(__file__).resolve().parents[1] / "dashboard" / "main.py"
    cli.main(["run", str(program), *flags], standalone_mode=False)
    return 0


def hyphened(word: str) -> str:
    """An option spelled with underscores, as this program spells it."""
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value if option.startswith("--") else word
