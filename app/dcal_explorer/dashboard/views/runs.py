"""Training runs as their log.jsonl tells them, also while they go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from dcal.training import epoch_maps
from dcal.training.run_log import RunLog, read_run_log, run_folders
from dcal_explorer.content import places
from dcal_explorer.content.ablation_tables import NOT_MEASURED
from dcal_explorer.content.markdown import message, plain
from dcal_explorer.content.numbers import percent
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.folders import folder

RUNS = places.RUNS_VARIABLE
EVERY = 5  # seconds between two readings of a run that goes on
NO_RUNS = (
    "There is no run in the folder `{}`. `dcal train` writes to runs/; name another folder under Folders, or with "
    "`dcal dashboard --runs`."
)
KEPT_RUNS = (
    "There is no run in the folder `{}` yet, where `dcal train` writes. Until then these are four kept runs of "
    "docs/study.md: of each ablation the median of three seeds, on fifty birds with ten images each to train with, "
    "112 px, 12 epochs. The split that they call test is 1,000 other training images."
)
# title → series that start so, and what the axis says
CHARTS = {
    "Losses": (("loss", "losses/"), "loss"),
    "Accuracy on training images": (("accuracies/",), "accuracy"),
    "Learned loss weights": (("loss_weights/",), "weight w; the loss is scaled by exp(−w)"),
    "Learning rate": (("learning_rate",), "rate"),
    "Speed": (("images_per_second",), "images per second"),
    "Gradient norm": (("gradient_norm",), "norm"),
}
DISTRACTOR = "distractor_shares/"
ABOUT_DISTRACTOR = (
    "PWCA attends to the image and to its distractor at once: the share of the attention that goes to the distractor, "
    "layer by layer. At one half, both count alike."
)
MAPS = {"rollout": "Rollout", "glca_input": "GLCA"}


@shows_errors
def page() -> None:
    """One run, or several in one chart."""
    root = Path(folder(RUNS) or "runs").expanduser()
    names = run_folders(root)
    first = names[:1]
    if not names and not folder(RUNS) and (names := sorted(run_folders(places.STUDY_RUNS))):
        st.info(KEPT_RUNS.format(root.name))
        root, first = places.STUDY_RUNS, names
    if not names:
        st.info(NO_RUNS.format(root.name))
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.multiselect("Runs", names, first, key="runs", bind="query-params")
    live = right.toggle("Read again every 5 s", key="live", bind="query-params")
    if not chosen:
        st.info("Choose at least one run.")
        return
    st.fragment(shows_errors(show), run_every=EVERY if live else None)(root, chosen)


def show(root: Path, chosen: Sequence[str]) -> None:
    """Everything that the runs' logs hold."""
    logs = {name: read_run_log(root / name) for name in chosen}
    for name, log in logs.items():
        if log.note:
            st.warning(message(log.note))
        last = log.steps[-1] if log.steps else None
        state = f"epoch {last['epoch']}, step {last['step']:,}" if last else "no step yet"
        st.markdown(f"**{plain(name)}** · {state} · {len(log.evaluations)} evaluations")
    evaluations(logs)
    columns = st.columns(2)
    for number, (title, (prefixes, axis)) in enumerate(CHARTS.items()):
        if series := series_of(logs, prefixes):
            with columns[number % 2]:
                st.markdown(f"**{title}**")
                charts.chart_of(charts.lines, series, "step", axis, key=f"chart-{title}")
    if series := series_of(logs, (DISTRACTOR,), last_only=True):
        st.markdown("**PWCA's attention on the distractor**")
        charts.chart_of(charts.lines, series, "layer", "share", True, key="distractor")
        st.caption(ABOUT_DISTRACTOR)
    for name in chosen:
        shows_errors(maps)(root / name, name)


def maps(folder: Path, name: str) -> None:
    """The maps of the run's fixed images after an epoch; nothing for a run that kept none."""
    images, epochs = epoch_maps.read_images(folder), epoch_maps.epochs_of(folder)
    if images is None or not epochs:
        return
    st.markdown(f"**{plain(name)}: maps of fixed training images**")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    epoch = epochs[-1]
    if len(epochs) > 1:
        epoch = left.select_slider("After epoch", epochs, epochs[-1], key=f"maps_epoch_{name}", bind="query-params")
    found = epoch_maps.read_maps(folder, epoch, len(images)).maps
    kind = right.segmented_control(
        "Map",
        list(found),
        default="rollout",
        format_func=MAPS.__getitem__,
        key=f"maps_kind_{name}",
        bind="query-params",
    )
    drawn = epoch_maps.drawings(images, found, kind or "rollout")
    for number, (place, drawing) in enumerate(zip(st.columns(len(drawn)), drawn, strict=True), 1):
        place.image(drawing, width="stretch", alt=f"Training image {number} with its map")
    st.caption(f"After epoch {epoch}, each image on a scale of its own.")


def series_of(
    logs: dict[str, RunLog], prefixes: Sequence[str], last_only: bool = False
) -> dict[str, tuple[list[float], list[float]]]:
    """The series with these names or prefixes, by run; with `last_only` each run's last values over their number."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for run, log in logs.items():
        names = [n for n in log.names() if any(n == p or (p.endswith("/") and n.startswith(p)) for p in prefixes)]
        label = f"{run} " if len(logs) > 1 else ""
        if last_only and names:
            values = [log.series(name)[1][-1] for name in names]
            found[f"{label}last step"] = list(range(1, len(values) + 1)), values
        elif not last_only:
            for name in names:
                steps, values = log.series(name)
                found[f"{label}{name.rpartition('/')[2]}"] = list(steps), values
    return found


def evaluations(logs: dict[str, RunLog]) -> None:
    """What was measured on the way and at the end."""
    rows = []
    for run, log in logs.items():
        for line in log.evaluations:
            row = {
                "run": run,
                "epoch": str(line.get("epoch")),
                "step": f"{line['step']:,}",
                "split": str(line["split"]),
            }
            row |= {
                key: percent(value) if isinstance(value := line.get(key), float) else NOT_MEASURED
                for key in ("top1", "sa_top1", "glca_top1", "mAP", "rank1")
                if any(key in other for other_log in logs.values() for other in other_log.evaluations)
            }
            rows.append(row | {"exported": "yes" if line.get("exported") else ""})
    if rows:
        st.dataframe(rows, hide_index=True)
