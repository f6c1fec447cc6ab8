"""The program `dcal`: what a shell starts. The command line itself is `dcal_explorer.cli.main`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dcal_explorer.threads import sleep_when_idle


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return its exit status."""
    sleep_when_idle()
    from dcal_explorer.cli.main import main  # imports torch

    return main(arguments)


if __name__ == "__main__":
    sys.exit(main())
