"""The program `dcal`: what a shell starts. The command line itself is `dcal.cli`."""

from __future__ import annotations

import sys

from app.threads import sleep_when_idle


def main() -> int:
    """Run the command line of this process and return its exit status."""
    sleep_when_idle()
    from dcal.cli import main  # imports torch

    return main()


if __name__ == "__main__":
    sys.exit(main())
