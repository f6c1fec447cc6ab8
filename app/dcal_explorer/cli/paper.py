"""`dcal visualize --paper_figures`: which figures a checkpoint has, computed by the core and drawn one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcal_explorer.cli.parsing import show_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcal.evaluation.run import Evaluation

SHOWN = 4  # images of a figure


def paper_figures(
    evaluation: Evaluation, images: Sequence[Path], checkpoint: Path, out: Path, json: bool = False
) -> int:
    """Draw every figure that the checkpoint has, into `out`; what it has not is said, and why."""
    from dcal_explorer.cli.figures import save

    drawn = []
    for name, figure in figures(evaluation, images[:SHOWN], checkpoint):
        files = [] if isinstance(figure, str) else [str(path) for path in save(figure, out, name)]
        problem = figure if isinstance(figure, str) else ""
        drawn.append({"figure": name, "files": files, "problem": problem})
        if problem:
            print(f"{name}: not drawn, {problem}", file=sys.stderr)
        elif not json:
            print("written:", ", ".join(files))
    if json:
        show_json({"figures": drawn})
    return 0


def figures(evaluation: Evaluation, images: Sequence[Path], checkpoint: Path) -> Iterator[tuple[str, Figure | str]]:
    """(name, the figure or why there is none)."""
    from dcal import inspect, load
    from dcal.errors import DCALError
    from dcal.evaluation.comparison import evaluated
    from dcal.evaluation.curves import ranked_lists, ratio_curve
    from dcal.evaluation.run import ReIDEvaluation
    from dcal_explorer.cli import figures as drawn
    from dcal_explorer.cli.progress import progress_bars

    model = evaluation.model.cpu()
    seen = [inspect(model, image) for image in images]
    yield "rollout", drawn.rollout_figure(seen)
    yield "attention", drawn.attention_figure(seen)

    family = list(drawn.relatives(checkpoint)) if checkpoint.is_dir() else [checkpoint]
    baseline = family[0]
    if baseline == checkpoint:
        yield "baseline", "no checkpoint beside this one is its baseline (sa_only, else the same)"
    else:
        plain = load(baseline)
        other = [inspect(plain, image) for image in images]
        yield "baseline", drawn.checkpoints_figure({baseline.name: other, checkpoint.name: seen})

    with progress_bars() as on_progress:
        if model.glca is None:
            yield "ratio", f"{model.config.ablation} has no GLCA branch, so R decides nothing"
        else:
            curve = ratio_curve(evaluation, on_progress=on_progress)
            yield "ratio", drawn.curve_figure(curve, model.config.top_ratio)
        if isinstance(evaluation, ReIDEvaluation):
            yield "rankings", drawn.rankings_figure(ranked_lists(evaluation, on_progress=on_progress))

    if len(family) < 2:
        yield "ablations", "there is no other ablation beside this checkpoint"
        return
    try:
        compared = evaluated(family)
    except DCALError as error:
        yield "ablations", str(error)
        return
    yield "ablations", drawn.ablation_figure(compared)
