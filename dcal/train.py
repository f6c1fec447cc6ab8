"""Public name of the training loop: `from dcal.train import train`, and `torchrun … -m dcal.train`."""

import sys

from dcal.training.train import train

__all__ = ["train"]

if __name__ == "__main__":
    from dcal_explorer.cli.program import main

    sys.exit(main(["train", *sys.argv[1:]]))
