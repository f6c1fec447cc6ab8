"""`dcal push`: a checkpoint to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tyro

from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = """Upload a checkpoint directory to the Hugging Face Hub: weights, configuration, card and what was
measured, no gallery. `dcal … --checkpoint OWNER/NAME` then finds it. Read the card's data terms first: they bind the
weights, too.

Log in before, with `hf auth login` or HF_TOKEN. HF_ENDPOINT names another server than huggingface.co.

examples:
  dcal push runs/cub-full-s0/checkpoint OWNER/NAME
  dcal push runs/cub-full-s0/checkpoint OWNER/NAME --private
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(push, words, name, DESCRIPTION)


def push(
    checkpoint: tyro.conf.Positional[Path],
    repository: tyro.conf.Positional[str],
    private: bool = False,
    message: str = "Upload a checkpoint of DCAL",
    json: bool = False,
) -> int:
    """Push.

    Args:
        checkpoint: a checkpoint directory
        repository: OWNER/NAME on the Hub; it is made if there is none
        private: make it for yourself alone
        message: of the commit
        json: print one JSON object instead of a line
    """
    from dcal.model.publish import push_checkpoint

    address = push_checkpoint(checkpoint, repository, private, message)
    if json:
        show_json({"repository": repository, "address": address})
    else:
        print(f"uploaded: {address}")
    return 0
