"""`dcal demo` and `dcal dashboard`: the faces in the browser, each with its own options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dcal.errors import DCALError
from dcal_explorer.cli.parsing import value_of
from dcal_explorer.cli.shown_models import add_models, gathered
from dcal_explorer.content import places

# option of `dcal dashboard` → (environment variable that the pages read, what it is for)
FOLDERS = {
    "checkpoints": (places.CHECKPOINTS_VARIABLE, "a folder of checkpoints"),
    "gallery": (places.GALLERY_VARIABLE, "galleries made by `dcal index build`, beside the checkpoints' own"),
    "data-root": (places.DATA_ROOT_VARIABLE, "the folder of the data set that `dcal eval` was run on, for its images"),
    "runs": (places.RUNS_VARIABLE, "a folder of run folders; default: runs/"),
}


def run(name: str, words: Sequence[str]) -> int:
    return demo(words) if name == "demo" else dashboard(words)


def demo(words: Sequence[str]) -> int:
    """Serve the demo. Which models it shows is settled here; all other options are its own."""
    parser = argparse.ArgumentParser(prog="dcal demo", add_help=False, allow_abbrev=False)
    add_models(parser)
    own, others = parser.parse_known_args([hyphened(word) for word in words])
    if {"-h", "--help"} & set(others):
        print(parser.format_help())
    from dcal_explorer.demo.program import main

    if own.backbone is not None and not own.checkpoint:  # the page knows what a bare backbone has not
        refuse_both(value_of(others, "checkpoints"))
        weights = [] if own.weights is None else ["--weights", str(own.weights)]
        return main([*others, "--backbone", own.backbone, *weights])
    with gathered(own.checkpoint, own.backbone, own.weights) as folder:
        if folder is not None:
            refuse_both(value_of(others, "checkpoints"))
            others += ["--checkpoints", str(folder)]
        return main(others)


def refuse_both(checkpoints: object) -> None:
    """Raises DCALError where a folder of checkpoints is named beside single models."""
    if checkpoints is not None:
        raise DCALError(
            "--checkpoints names a folder of models, --checkpoint and --backbone single ones: give one kind"
        )


def dashboard(words: Sequence[str]) -> int:
    """Serve the dashboard until it is stopped, on this machine's own address alone."""
    options = dashboard_options(words)
    with gathered(options.checkpoint, options.backbone, options.weights) as folder:
        os.environ |= folders_given(options)
        if folder is not None:
            refuse_both(getattr(options, places.CHECKPOINTS_VARIABLE))
            os.environ[places.CHECKPOINTS_VARIABLE] = str(folder)
        return serve_dashboard(options)


def serve_dashboard(options: argparse.Namespace) -> int:
    from streamlit.web import cli

    # What the checkout's .streamlit/config.toml says; installed elsewhere, there is no such file.
    settings = {
        **{"browser.gatherUsageStats": "false", "client.showErrorDetails": "none", "client.toolbarMode": "minimal"},
        **{
            "runner.postScriptGC": "false",
            "server.address": "127.0.0.1",
            "server.fileWatcherType": "none",
            "server.maxUploadSize": "20",
            "server.websocketPingInterval": "120",
        },
        **{"theme.light.primaryColor": "#1d5fd1", "theme.dark.primaryColor": "#60a5fa"},
        "server.headless": "false" if options.browser else "true",
    }
    if options.port is not None:
        settings["server.port"] = str(options.port)
    flags = [f"--{name}={value}" for name, value in settings.items()]
    program = Path(__file__).resolve().parents[1] / "dashboard" / "server.py"
    cli.main(["run", str(program), *flags], standalone_mode=False)
    return 0


def dashboard_options(words: Sequence[str]) -> argparse.Namespace:
    """The dashboard's own options. Ends the process (SystemExit, 2) on words that do not fit."""
    about = "Checkpoints side by side, in the browser."
    parser = argparse.ArgumentParser(prog="dcal dashboard", description=about, allow_abbrev=False)
    parser.add_argument("--port", type=int, help="default: the first free one from 8501 (or $STREAMLIT_SERVER_PORT)")
    for name, (variable, about) in FOLDERS.items():
        number = "+" if name == "gallery" else None
        parser.add_argument(f"--{name}", type=Path, dest=variable, help=about, nargs=number)
    add_models(parser)
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="do not open the browser")
    return parser.parse_args([hyphened(word) for word in words])


def folders_given(options: argparse.Namespace) -> dict[str, str]:
    """{environment variable: folder} of the folders that were named. Raises DCALError for one that is not there."""
    given: dict[str, str] = {}
    for name, (variable, _) in FOLDERS.items():
        value = getattr(options, variable)
        folders = value if isinstance(value, list) else [value] if value is not None else []
        if missing := [folder for folder in folders if not folder.is_dir()]:
            raise DCALError(f"--{name} {missing[0]}: there is no such folder")
        if folders:
            given[variable] = os.pathsep.join(str(folder.resolve()) for folder in folders)
    return given


def hyphened(word: str) -> str:
    """An option spelled with underscores, as this program spells it."""
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value if option.startswith("--") else word
