"""The `dcal` command: finds the subcommand and runs it. What a subcommand needs is imported when it runs."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Collection, Sequence

# Subcommand → (its module, whose `run` takes the words after its name and returns the exit status; what it does).
COMMANDS = {
    "train": ("dcal_explorer.cli.train", "train on a data set, evaluate, write a checkpoint"),
    "eval": ("dcal_explorer.cli.evaluate", "evaluate a checkpoint on a test split: tables, evaluation.json"),
    "calibrate": ("dcal_explorer.cli.calibrate", "which similarity means the same identity: calibration.json"),
    "predict": ("dcal_explorer.cli.predict", "the classes of images, or their nearest identities, as CSV"),
    "inspect": ("dcal_explorer.cli.inspect", "the attention maps of images, as PNG files and arrays"),
    "visualize": ("dcal_explorer.cli.inspect", "the same for a data set's test images, or in the browser"),
    "compare": ("dcal_explorer.cli.compare", "the figures of several checkpoints side by side, and their maps"),
    "data": ("dcal_explorer.cli.data", "check a data set: counts, missing and damaged images"),
    "index": ("dcal_explorer.cli.index", "build a gallery of images, search one"),
    "models": ("dcal_explorer.cli.models", "list the backbones that fit"),
    "export": ("dcal_explorer.cli.export", "write a checkpoint as ONNX, or for torch.export"),
    "push": ("dcal_explorer.cli.push", "upload a checkpoint to the Hugging Face Hub"),
    "demo": ("dcal_explorer.cli.faces", "open the demo in the browser"),
    "dashboard": ("dcal_explorer.cli.faces", "open the dashboard in the browser"),
    "completion": ("dcal_explorer.cli.completion", "a script by which bash or zsh completes these words"),
}
EXAMPLES = """
  dcal train --dataset cub --data-root CUB_200_2011 --ablation full
  dcal train --dataset folder --data-root my-images
  dcal eval --checkpoint runs/cub-full-s0/checkpoint --data-root CUB_200_2011
  dcal inspect image.jpg --checkpoint checkpoints/cub50-full --out maps
  dcal demo
"""
STATUS = "exit status: 0 done, 1 `data check` found a fault, 2 a mistake in the call, 130 and 143 interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 2 after an error that the user can mend, stated in one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"dcal {version()}")
        return 0
    from dcal.errors import DCALError

    try:
        return run(words[0], words[1:])
    except DCALError as error:
        print(f"dcal: {error}", file=sys.stderr)
        return getattr(error, "status", 2)
    except KeyboardInterrupt:
        print("dcal: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `dcal … | head`: the reader has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a file that vanished meanwhile, a connection that broke: no fault of the code
        print(f"dcal: {f'{error.filename}: {error.strerror}' if error.filename else error}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # the parsers' way to end
        return stop.code if isinstance(stop.code, int) else 2


def meant(word: str, known: Collection[str]) -> str:
    """Which of the `known` words a misspelled one may be, or all of them, as a sentence."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(known)}."


def run(name: str, words: Sequence[str]) -> int:
    if name not in COMMANDS:
        print(f"dcal: there is no command {name!r}: {meant(name, COMMANDS)} `dcal --help` lists them", file=sys.stderr)
        return 2
    from dcal.data import load_entry_points

    load_entry_points()  # before the commands list the data sets
    module = importlib.import_module(COMMANDS[name][0])
    status: int = module.run(name, list(words))
    return status


def overview() -> str:
    """What `dcal --help` prints."""
    from dcal.data import DATASETS, REID_DATASETS, load_entry_points
    from dcal.model.ablation import ABLATIONS

    load_entry_points()
    lines = [f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: dcal COMMAND [OPTIONS]      `dcal COMMAND --help` lists a command's options",
            *("", "commands:", *lines, "", "examples:" + EXAMPLES.rstrip()),
            *("", f"data sets of --task fgvc: {', '.join(DATASETS)}"),
            f"data sets of --task reid: {', '.join(REID_DATASETS)}",
            f"ablations: {', '.join(ABLATIONS)}",
            STATUS,
        ]
    )


def version() -> str:
    """The installed distribution's version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("dcal")
    except PackageNotFoundError:  # a checkout on the path that was never installed
        return "of a checkout that is not installed"


if __name__ == "__main__":
    sys.exit(main())
