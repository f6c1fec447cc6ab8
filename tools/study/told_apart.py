"""How often a checkpoint tells twins apart: `python -m tools.study.told_apart CHECKPOINT [--yard YARD]`.

The figure of `dcal eval --analysis` without the rest of it, for trials: a mean over pairs, with its 95 % interval
(bootstrap over pairs); guessing is 0.5. `--yard` may be what boxes.py cut.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from dcal.analysis.summary import mean_of
from dcal.analysis.twins import pairs_of, told_apart
from dcal.data.reid.yard import Yard
from dcal.data.samples import ReIDSamples
from dcal.data.yard_table import HOME
from dcal.model.checkpoint import load_checkpoint
from dcal.model.embeddings import embed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.study.told_apart", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--yard", type=Path, default=HOME)
    parser.add_argument("--split", choices=("train", "query"), default="query", help="query: the test vehicles")
    given = parser.parse_args()
    model = load_checkpoint(given.checkpoint)
    records = Yard(given.yard, given.split, strict=False).records
    samples = ReIDSamples(records, model.config.preprocess)
    found = embed(model, (samples[index][0][None] for index in range(len(samples)))).joined
    seen = [{index: records[index] for index in own if records[index].visible} for own in pairs_of(records)]
    mean = mean_of(np.array([told_apart(own, found) for own in seen]), seed=0)
    print(json.dumps({"checkpoint": given.checkpoint.name, "pairs": len(seen), **mean}))


if __name__ == "__main__":
    main()
