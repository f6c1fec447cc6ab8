"""From words to a function's arguments, alike for all subcommands."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro

from dcal.errors import DCALError

Value = TypeVar("Value")
CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)


def parsed(function: Callable[..., Value], words: Sequence[str], command: str, description: str | None = None) -> Value:
    """What `function` returns for the arguments that `words` give; `command` is named in help texts and errors.

    Options may be spelled with underscores. Ends the process (SystemExit, 2) on words that do not fit.
    """
    return tyro.cli(function, prog=f"dcal {command}", args=list(words), config=CONFIG, description=description)


def value_of(words: Sequence[str], name: str) -> str | None:
    """What `--name` is set to, the last one counts; None if it is not there or has no value."""
    found = None
    spellings = {f"--{name}", f"--{name.replace('-', '_')}"}
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in spellings:
            following = words[place + 1] if place + 1 < len(words) else "--"
            found = value if equals else (None if following.startswith("--") else following)
    return found


def without_effect(given: dict[str, Any], why: str) -> None:
    """Raises DCALError if any of the options is given (not None): `why` says what they belong to."""
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise DCALError(f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} no effect: {why}")


def show_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))
