"""`dcal completion`: what a shell needs to complete the command's words."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Literal

import tyro

from dcal.data import DATASETS, REID_DATASETS
from dcal.model.ablation import ABLATIONS
from dcal_explorer.cli.parsing import parsed

DESCRIPTION = """Print a script by which a shell completes commands, options, data sets, ablations and presets.

examples:
  dcal completion bash > ~/.local/share/bash-completion/completions/dcal
  dcal completion zsh >> ~/.zshrc
"""
OPTION = re.compile(r"--[a-z][a-z-]+")
ACTIONS = {"index": ("build", "search", "group"), "data": ("check",)}  # a command's second words
SCRIPT = """_dcal() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
    case $before in
        --dataset|--also) words="{datasets}" ;;
        --ablation) words="{ablations}" ;;
        --preset) words="{presets}" ;;
        --task) words="fgvc reid" ;;
        *) case ${{COMP_WORDS[1]}} in
{cases}
           esac ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _dcal dcal
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(completion, words, name, DESCRIPTION)


def completion(shell: tyro.conf.Positional[Literal["bash", "zsh"]]) -> int:
    """Completion.

    Args:
        shell: which shell
    """
    if shell == "zsh":
        print("autoload -U +X compinit && compinit && autoload -U +X bashcompinit && bashcompinit")
    print(script(), end="")
    return 0


def script() -> str:
    """The script, for bash; zsh runs it by its emulation."""
    from dcal.training.presets import PRESETS
    from dcal_explorer.cli.main import COMMANDS

    cases = [f'               {name}) words="{" ".join(words_of(name))}" ;;' for name in COMMANDS]
    return SCRIPT.format(
        commands=" ".join(COMMANDS),
        datasets=" ".join({**DATASETS, **REID_DATASETS}),
        ablations=" ".join(ABLATIONS),
        presets=" ".join(PRESETS),
        cases="\n".join(cases),
    )


def words_of(name: str) -> list[str]:
    """A command's second words, and the options that its help names."""
    from dcal_explorer.cli.main import main

    actions = ACTIONS.get(name, ())
    found: list[str] = list(actions)
    for action in actions if name == "index" else ("",):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            main([name, *([action] if action else []), "--help"])
        found += OPTION.findall(shown.getvalue())
    return list(dict.fromkeys(found))
