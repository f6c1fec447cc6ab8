"""Measure every method of match evidence, and every way of linking patches, on a bundled checkpoint.

    python -m tools.evidence CHECKPOINT [--pairs 12] [--steps 5] [--seed 1] [--links | --missing]

Writes docs/results/evidence/<checkpoint>.json, from which `python -m tools.documents` makes the tables of docs/reid.md.
The pairs are others than those of `dcal eval --analysis` (seed 0), so that what chose the method does not judge it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dcal
from dcal.analysis.pairs import FILL, TARGETS, Triple, draw_triples, images_of
from dcal.analysis.perturbation import area, deletion_insertion, filled, patch_order
from dcal.analysis.sanity import rank_correlation
from dcal.data.reid.yard import Yard
from dcal.errors import DCALError
from dcal.model.dcal import DCAL
from dcal.model.embeddings import embed
from dcal.provenance import hardware
from tools.evidence.links import same_part
from tools.evidence.methods import METHODS, Method, Trial
from tools.study.results import replace_text

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "evidence"


def trial_of(model: DCAL, triples: Sequence[Triple]) -> Trial:
    queries, matches, others = (
        images_of(model, [getattr(t, side) for t in triples]) for side in ("query", "match", "other")
    )
    match, other = (torch.from_numpy(embed(model, [images]).sa).to(queries) for images in (matches, others))
    return Trial(model, queries, filled(queries, FILL), match, other, [t.number for t in triples])


def worth(trial: Trial, method: Method, target: str, steps: int) -> list[float]:
    """Insertion − deletion of every query."""
    towards = trial.towards(target)

    def score(images: torch.Tensor) -> torch.Tensor:
        features = torch.nn.functional.normalize(trial.model(images).sa_feature, dim=-1)
        return (features * towards).sum(dim=1)

    order = patch_order(method(trial, target), 0)
    curves = deletion_insertion(score, trial.queries, trial.blank, order, trial.model.layout, steps)
    deletion, insertion = (area(curve.double().numpy(), trial.model.layout.patches) for curve in curves)
    return [float(gain) for gain in insertion - deletion]


def dependence(trial: Trial, method: Method) -> list[float]:
    """The rank correlation of each query's map for its match and for the other image."""
    swapped = Trial(trial.model, trial.queries, trial.blank, trial.other, trial.match, trial.numbers)
    maps = (method(own, "similarity").double().numpy() for own in (trial, swapped))
    return [float(value) for value in rank_correlation(*maps)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "se": float(np.std(values, ddof=1) / np.sqrt(len(values)))}


def measured(model: DCAL, triples: Sequence[Triple], steps: int, known: dict[str, Any]) -> dict[str, Any]:
    """{name of a method: {similarity, margin, dependence}}, each as {mean, se}; `known` ones are not measured again."""
    trial = trial_of(model, triples)
    methods: dict[str, Any] = {}
    for name, method in METHODS.items():
        print(name, flush=True)
        if name in known:
            methods[name] = known[name]
            continue
        methods[name] = {target: spread(worth(trial, method, target, steps)) for target in TARGETS}
        methods[name]["dependence"] = spread(dependence(trial, method))
    return methods


def earlier_results(about: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's results file. Raises DCALError if there is none, or one of other pairs or steps."""
    file = RESULTS / f"{about['checkpoint']}.json"
    if not file.exists():
        raise DCALError(f"{file.name} does not exist yet: measure all without --missing")
    results: dict[str, Any] = json.loads(file.read_text())
    if other := {key: results[key] for key in about if results[key] != about[key]}:
        raise DCALError(f"{file.name} was measured with {other}: give the same, or measure all without --missing")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--links", action="store_true", help="the ways of linking alone, which take a minute")
    parser.add_argument("--missing", action="store_true", help="only methods that the results file lacks, same pairs")
    given = parser.parse_args()
    begun, model = time.perf_counter(), dcal.load(given.checkpoint)
    query, gallery = (Yard(split=split).records for split in ("query", "gallery"))
    triples = draw_triples(query, gallery, given.pairs, given.seed)
    about = {"checkpoint": given.checkpoint.name, "pairs": given.pairs, "steps": given.steps, "seed": given.seed}
    earlier = earlier_results(about) if given.missing else {}
    known = earlier.get("methods", {})
    found = {} if given.links else {"methods": measured(model, triples, given.steps, known)}
    found["links"] = {name: spread(values) for name, values in same_part(model, triples).items()}
    about |= {
        "torch": torch.__version__,
        "hardware": hardware(torch.device("cpu")),
        "seconds": round(time.perf_counter() - begun + earlier.get("seconds", 0), 1),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    replace_text(
        RESULTS / f"{given.checkpoint.name}.json", json.dumps(about | found, indent=1, ensure_ascii=False) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
