"""DCAL Explorer in the browser: `python -m dcal_explorer.demo`."""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from dcal_explorer.content.places import CHECKPOINTS, GALLERY_VARIABLE
from dcal_explorer.demo.uploads import upload_folder
from dcal_explorer.threads import few_arenas, give_back_always, sleep_when_idle

if TYPE_CHECKING:
    from dcal_explorer.content.checkpoints import CheckpointLibrary


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM. Uploads are kept in a temporary folder, which is removed then."""
    options = parse(arguments)
    os.environ |= {
        **{"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"},
        # gradio's own dashboard of calls, which is off, else makes a table of the last 10,000 after every call
        **{"GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9), "GRADIO_ANALYTICS_MAX_EVENTS": "1"},
    }
    if options.gallery:
        os.environ[GALLERY_VARIABLE] = os.pathsep.join(str(place) for place in options.gallery)
    sleep_when_idle()
    few_arenas()
    give_back_always()
    with ending_at_once(), upload_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)  # before gradio is imported
        from dcal import DCALError
        from dcal_explorer.demo.server import serve

        try:
            serve(library(options), folder, options.port, options.browser, options.allow_host, options.mcp)
        except DCALError as error:
            print(f"dcal: {error}", file=sys.stderr)
            return 2
    return 0


def library(options: argparse.Namespace) -> CheckpointLibrary:
    """What the page offers: a folder of checkpoints, or one backbone of timm."""
    from dcal import DCALError
    from dcal_explorer.content.backbone_library import BackboneLibrary
    from dcal_explorer.content.checkpoints import CheckpointLibrary

    if options.backbone is not None:
        if options.onnx:
            raise DCALError("--onnx takes files that were exported from checkpoints: a --backbone is none")
        return BackboneLibrary(options.backbone, options.weights)
    if options.weights is not None:
        raise DCALError("--weights are a --backbone's (`dcal models` lists them); a checkpoint has its own")
    found = CheckpointLibrary(options.checkpoints, options.onnx)
    for name, backbone in found.exported.items():
        print(f"{name} is inspected by ONNX Runtime with {backbone.path}", flush=True)
    return found


@contextmanager
def ending_at_once() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the program: what is temporary is removed, exit functions run, then the process stops.

    Exit status 143 or 130. The interpreter's own teardown is left out: to free every object of torch's and gradio's
    takes seconds, 8 to 11 on a busy machine, and nothing in it is needed.
    """
    status: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        status.append(128 + number)
        raise SystemExit(status[0])

    def stop() -> None:
        if status:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status[0])

    atexit.register(stop)  # before others are, so that it is called after them
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dcal demo", description="What does a DCAL model attend to?")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 (or $GRADIO_SERVER_PORT)")
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="a folder of checkpoints")
    parser.add_argument(
        *("--gallery", "--galleries"),
        type=Path,
        nargs="+",
        default=[],
        help="galleries that dcal index built, or folders of them, beside the checkpoints' own",
    )
    parser.add_argument(
        "--onnx",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="files of `dcal export --inspection`: their checkpoints' images pass through ONNX Runtime (needs the "
        "extra onnx); what needs gradients stays with PyTorch",
    )
    parser.add_argument("--backbone", help="instead of checkpoints, a model of timm by its name (`dcal models`)")
    parser.add_argument("--weights", type=Path, help="the backbone's, a local file; by itself, timm's from the hub")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the server may be reached, behind a proxy for example; else only this machine's own",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="serve tools for assistants, too, by the Model Context Protocol at /gradio_api/mcp (needs the extra mcp)",
    )
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="do not open the browser")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
