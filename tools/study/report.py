"""The report: every table of the study from its results files alone.

    python -m tools.study.report [--results docs/results/study] [--check]

Writes `<results>/README.md`; `--check` writes nothing and fails where that file is not what the results give.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.study.compare import pairs_of, pooled_of
from tools.study.plan import BASE
from tools.study.queue import ROOT
from tools.study.results import Result, read_results, replace_text
from tools.study.statistics import Difference, mean_and_deviation
from tools.study.tables import markdown, percent, points, signed

TITLES = {
    "few": "Little data, 112 px",
    "final": "cub50, 224 px, 30 epochs",
}
PAIRED = (
    "Paired over the same images, first minus second (McNemar's exact test; 95 % intervals of the bootstrap over "
    "images, of top-1 and of the loss):"
)
NAMES = {"test": "official test images", "held_out": "held-out training images"}


def report(results: Mapping[str, Result]) -> str:
    """The whole report as Markdown."""
    head = [
        "# Results of the study",
        "Made by `python -m tools.study.report` from the files in this folder; not edited by hand. The last epoch "
        "counts in every run. Top-1 in %; loss: the mean of −ln of the probability of the image's class.",
    ]
    return "\n\n".join([*head, *(part for tier in tiers(results) for part in tier_report(tier, results))]) + "\n"


def tiers(results: Mapping[str, Result]) -> list[str]:
    return [tier for tier in TITLES if any(one.about["tier"] == tier for one in results.values())]


def tier_report(tier: str, results: Mapping[str, Result]) -> Iterator[str]:
    """One tier's sections: figures, paired comparisons, curves, cost, what is not finished."""
    own = [one for one in results.values() if one.about["tier"] == tier]
    done = [one for one in own if one.finished]
    yield f"## {TITLES[tier]}"
    base = next((one for one in own if one.about["recipe"] == BASE), own[0])
    yield f"{settings(base)} {progress(own)}"
    for split in dict.fromkeys(split for one in done for split in one.splits):
        yield f"### On the {NAMES[split]}"
        yield summary_table(done, split)
        if rows := paired_rows(done, split):
            yield PAIRED
            yield markdown(
                ("comparison", "seed", "only first right", "only second right", "p", "top-1, points", "loss"), rows
            )
        if rows := pooled_rows(done, split):
            yield "Over all seeds that both have (bootstrap over seeds and images, crossed):"
            yield markdown(("comparison", "seeds", "top-1, points", "loss"), rows)
    yield "### Training"
    yield curve_table(own)
    if done:
        yield cost_table(done)


def settings(run: Result) -> str:
    few = run.about["per_class"]
    data = f"{few} training images of each class (drawn by the seed)" if few else "The official training split"
    return f"{data}; preset `cub50` with `{' '.join(run.about['options'])}`."


def progress(runs: Sequence[Result]) -> str:
    partial = [f"`{one.name}` (in epoch {one.about['epochs_begun']})" for one in runs if not one.finished]
    done = f"Runs finished: {len(runs) - len(partial)}"
    return f"{done}; **partial: {', '.join(partial)}**." if partial else f"{done}; partial: none."


def groups(runs: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """{(ablation, recipe): its runs by seed}."""
    found: dict[tuple[str, str], list[Result]] = {}
    for one in sorted(runs, key=lambda one: one.about["seed"]):
        found.setdefault((one.about["ablation"], one.about["recipe"]), []).append(one)
    return found


def summary_table(runs: Sequence[Result], split: str) -> str:
    rows = []
    for (ablation, recipe), own in groups(runs).items():
        seeds = " ".join(str(one.about["seed"]) for one in own)
        figures = [
            over_seeds([one.splits[split].correct(b).mean() for one in own if b in one.splits[split].own])
            for b in ("sa", "glca", "fused")
        ]
        loss = mean_and_deviation([float(one.splits[split].loss("fused").mean()) for one in own])
        rows.append(
            (f"`{ablation}`", recipe, seeds, *figures, f"{loss[0]:.3f}" + (f" ± {loss[1]:.3f}" if len(own) > 1 else ""))
        )
    return markdown(("ablation", "recipe", "seeds", "SA", "GLCA", "fused", "loss, fused"), rows)


def over_seeds(values: Sequence[float]) -> str:
    """Mean ± standard deviation in %, the mean alone for one seed, – for none."""
    if not values:
        return "–"
    mean, deviation = mean_and_deviation([float(value) for value in values])
    return percent(mean) + (f" ± {100 * deviation:.1f}" if len(values) > 1 else "")


def paired_rows(runs: Sequence[Result], split: str) -> list[tuple[str, ...]]:
    return [
        (
            pair.title,
            str(pair.seed),
            str(pair.test.only_first),
            str(pair.test.only_second),
            f"{pair.test.p:.3f}",
            points(pair.top1),
            spread(pair.loss),
        )
        for pair in pairs_of(runs, split)
    ]


def pooled_rows(runs: Sequence[Result], split: str) -> list[tuple[str, ...]]:
    return [(pooled.title, pooled.seeds, points(pooled.top1), spread(pooled.loss)) for pooled in pooled_of(runs, split)]


def spread(found: Difference) -> str:
    return f"{signed(found.mean, 3)} ({signed(found.low, 3)} to {signed(found.high, 3)})"


def curve_table(runs: Sequence[Result]) -> str:
    """Of every run, at the epochs that were evaluated and the last one: losses, loss weights, top-1 on the way."""
    rows = []
    for one in runs:
        for line in one.curve:
            if "eval_top1" not in line and line is not one.curve[-1]:
                continue
            losses = [f"{line[name]:.2f}" if name in line else "–" for name in ("loss_sa", "loss_glca", "loss_pwca")]
            weights = [
                f"{line[f'weight_{branch}']:.2f}" for branch in ("sa", "glca", "pwca") if f"weight_{branch}" in line
            ]
            top1 = [percent(line[name]) if name in line else "–" for name in ("eval_sa_top1", "eval_top1")]
            rows.append((f"`{one.name}`", f"{line['epoch']:.0f}", *losses, " ".join(weights) or "–", *top1))
    return markdown(
        ("run", "epoch", "SA's loss", "GLCA's", "PWCA's", "loss weights w", "SA, top-1", "fused, top-1"), rows
    )


def cost_table(runs: Sequence[Result]) -> str:
    rows = [
        (
            f"`{one.name}`",
            f"{one.about['metrics']['seconds'] / 60:.0f}",
            one.about["metrics"]["hardware"],
            one.about["commit"][:9],
            f"`{one.about['metrics']['command']}`",
        )
        for one in runs
    ]
    return markdown(("run", "minutes", "hardware", "code", "command"), rows)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.study.report", description="Make the report from the results."
    )
    parser.add_argument("--results", type=Path, default=ROOT / "docs/results/study")
    parser.add_argument("--check", action="store_true", help="fail if the report is not what the results give")
    told = parser.parse_args(words)
    text, path = report(read_results(told.results)), told.results / "README.md"
    if not told.check:
        replace_text(path, text)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path} is not what the results give: run python -m tools.study.report")


if __name__ == "__main__":
    main()
