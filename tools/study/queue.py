"""The queue: train, evaluate and keep the results of every run in the plan that is not finished, one after another.

    python -m tools.study.queue --data-root CUB_200_2011 --pretrained deit_tiny_patch16_224.safetensors --out runs/study

Called again, on this machine or on another that has `--out` and `--results`, it continues where it was and skips what
is finished. Names choose runs: `… queue few final-full-s0 …` takes those that begin so. `--list` shows the plan,
`--collect` trains nothing but writes down how far each run is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcal.errors import DCALError
from tools.study.curve import slim, slim_log
from tools.study.few_shot import few_shot
from tools.study.plan import Run, chosen
from tools.study.results import CURVE, LOG, read_about, replace_text, write_about, write_curve, write_predictions

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Places:
    """Where things are. `code`: the tree whose dcal trains, best a clone that nobody edits during a run."""

    data_root: Path
    pretrained: Path
    out: Path
    results: Path
    code: Path = ROOT

    def data_of(self, run: Run) -> Path:
        if run.per_class is None:
            return self.data_root
        name = f"cub-{run.per_class}-per-class-s{run.seed}"
        return few_shot(self.data_root, self.out / "data" / name, run.per_class, run.seed)

    def splits_of(self, run: Run) -> dict[str, Path]:
        """{split: CUB folder whose test split it is}: what the run is judged on."""
        official = {"test": self.data_root}
        return official if run.per_class is None else {"held_out": self.data_of(run), **official}


def train_command(run: Run, places: Places, extra: Sequence[str]) -> list[str]:
    """`dcal train` of this run, in this Python; `extra` (amp, workers) must change no number that is compared."""
    options = {
        "--preset": "cub50",
        "--data-root": places.data_of(run),
        "--ablation": run.ablation,
        "--pretrained": places.pretrained,
        "--seed": run.seed,
        "--out": places.out / run.name,
    }
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "dcal.train", *words, *run.options, *extra, "--resume"]


def train(run: Run, places: Places, extra: Sequence[str]) -> None:
    """Train a run to its end unless it is there. Raises CalledProcessError if training fails."""
    if (places.out / run.name / "metrics.json").is_file():
        return
    path = os.pathsep.join(str(places.code / part) for part in ("", "app"))
    environment = {**os.environ, "PYTHONPATH": path}
    # `-m` looks into the working directory before PYTHONPATH: without `cwd` another tree's dcal could train
    subprocess.run(train_command(run, places, extra), cwd=places.code, env=environment, check=True)


def judge(run: Run, places: Places) -> dict[str, str]:
    """Write the predictions of a trained run on its splits; {split: the digest of its images} comes back."""
    from tools.study.predictions import predict  # torch is not needed to list or to collect

    found = {
        split: predict(places.out / run.name / "checkpoint", root) for split, root in places.splits_of(run).items()
    }
    for split, predictions in found.items():
        write_predictions(predictions, places.results / run.name / f"{split}.csv")
    return {split: predictions.images for split, predictions in found.items()}


def keep(run: Run, places: Places, images: dict[str, str]) -> None:
    """Write curve.csv, a slim log.jsonl and run.json of a run: with `images`, the digests of its splits, as finished,
    else as partial."""
    lines = slim(places.out / run.name / LOG)
    about: dict[str, Any] = {
        "name": run.name,
        "tier": run.tier,
        "ablation": run.ablation,
        "seed": run.seed,
        "recipe": run.recipe,
        "options": list(run.options),
        "per_class": run.per_class,
        "finished": bool(images),
        "epochs_begun": int(lines[-1]["epoch"]) if lines else 0,
        "images": images,
    }
    if images:
        about["metrics"] = json.loads((places.out / run.name / "metrics.json").read_text(encoding="utf-8"))
    write_curve(lines, places.results / run.name / CURVE)
    replace_text(places.results / run.name / LOG, slim_log(places.out / run.name / LOG))
    write_about(about | {"commit": commit_of(places.code)}, places.results / run.name)


def commit_of(code: Path) -> str:
    """The commit of a tree, and "+changes" if tracked files of it were changed. Raises DCALError outside of git."""
    try:
        git = ["git", "-C", str(code)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DCALError(
            f"{code} is no git checkout, so its results could not be traced to a commit: {error}"
        ) from error
    return commit + ("+changes" if changed.stdout.strip() else "")


def finished(run: Run, places: Places) -> bool:
    about = read_about(places.results / run.name)
    return about is not None and about["finished"]


def state(run: Run, places: Places) -> str:
    if finished(run, places):
        return "finished"
    lines = slim(places.out / run.name / "log.jsonl")
    return f"in epoch {int(lines[-1]['epoch'])}" if lines else "not begun"


def collect(runs: Sequence[Run], places: Places) -> None:
    """Write down the runs that have begun and are not finished, as partial."""
    for run in runs:
        if not finished(run, places) and (places.out / run.name / "log.jsonl").is_file():
            keep(run, places, {})


def work(runs: Sequence[Run], places: Places, extra: Sequence[str]) -> None:
    for run in runs:
        if not finished(run, places):
            print(f"== {run.name}", flush=True)
            train(run, places, extra)
            keep(run, places, judge(run, places))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tools.study.queue", description="Work through the study's runs.")
    made.add_argument("names", nargs="*", help="beginnings of runs' names; none: all of the plan")
    made.add_argument("--data-root", type=Path, required=True, help="CUB_200_2011, or a subset in its layout")
    made.add_argument("--pretrained", type=Path, required=True, help="ImageNet weights, a .safetensors file")
    made.add_argument("--out", type=Path, default=Path("runs/study"), help="states, logs and checkpoints (large)")
    made.add_argument("--results", type=Path, default=ROOT / "docs/results/study", help="what is kept (small)")
    made.add_argument("--code", type=Path, default=ROOT, help="the checkout whose dcal trains")
    made.add_argument("--amp", default="auto", choices=("auto", "bf16", "off"), help="see dcal train")
    made.add_argument("--workers", type=int, default=1, help="loader processes")
    made.add_argument("--list", action="store_true", help="show the runs and how far each is, and stop")
    made.add_argument("--collect", action="store_true", help="write down how far each run is, and stop")
    return made


def main(words: Sequence[str] | None = None) -> None:
    told = parser().parse_args(words)
    paths = (path.resolve() for path in (told.data_root, told.pretrained, told.out, told.results, told.code))
    runs, places = chosen(told.names), Places(*paths)
    if told.list:
        print("\n".join(f"{run.name:40} {state(run, places):14} {' '.join(run.options)}" for run in runs))
    elif told.collect:
        collect(runs, places)
    else:
        work(runs, places, ("--amp", told.amp, "--workers", str(told.workers)))


if __name__ == "__main__":
    main()
