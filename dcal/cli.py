"""The `dcal` command. Each subcommand calls the function of the same name; what it needs is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dcal.errors import DCALError


def main(arguments: Sequence[str] | None = None) -> int:
    import tyro

    from dcal.train import TrainConfig, train

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        train(tyro.cli(TrainConfig, args=arguments[1:], config=(tyro.conf.FlagCreatePairsOff,)))
    except DCALError as error:
        print(f"dcal: {error}", file=sys.stderr)
        return 2
    return 0
