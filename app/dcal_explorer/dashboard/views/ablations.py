"""Checkpoints side by side in figures: accuracy, ranking, calibration, cost, scores of their maps, gains and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dcal.evaluation.comparison import changes
from dcal.evaluation.image_results import ImageResults
from dcal.evaluation.predictions import Predictions, QueryRanks
from dcal.training.run_log import LOG, read_run_log
from dcal_explorer.content import ablation_tables as tables
from dcal_explorer.content import captions, reid_captions
from dcal_explorer.content.checkpoints import SideFile
from dcal_explorer.content.markdown import message, plain
from dcal_explorer.dashboard import charts, disagreement
from dcal_explorer.dashboard.choices import choose_checkpoints
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.rows import table
from dcal_explorer.dashboard.sidebar import library

TASKS = {"fgvc": "Classification", "reid": "Re-identification"}
INTRO = (
    "Measured on test images; brackets and bars are 95% intervals. Two checkpoints whose intervals overlap widely are "
    "not told apart by these images."
)
NO_EVALUATION = "Nothing was measured: run `dcal eval --checkpoint …` for these checkpoints."
NO_ANALYSIS = "Their maps were not measured: run `dcal eval --checkpoint … --analysis`."
CALIBRATION = (
    "ECE: expected calibration error, the mean gap between confidence and accuracy; 0% is calibrated. Above the dotted "
    "line a checkpoint is right more often than it is sure, below it less often."
)
Files = Mapping[str, SideFile]
Results = Mapping[str, ImageResults]


@shows_errors
def page() -> None:
    """The checkpoints of one task, and every kind of figure that lies beside them."""
    there = {task: names for task in TASKS if (names := library().names(task))}
    left, right = st.columns([1, 3])
    with left:
        task = st.segmented_control(
            "Task",
            list(there),
            default=next(iter(there)),
            format_func=TASKS.__getitem__,
            key="task",
            bind="query-params",
        ) or next(iter(there))
    names = there[task]
    with right:
        chosen = choose_checkpoints("Checkpoints", names, library().ablations(names[0]), f"ablations_{task}")
    if not chosen:
        st.info("Choose at least one checkpoint.")
        return
    st.caption(f"{captions.ATTENTIONS} {INTRO}")
    evaluations = {name: library().evaluation(name) for name in chosen}
    results = disagreement.results_of(evaluations)
    analyses = {name: library().analysis(name) for name in chosen}
    for note in dict.fromkeys(file.note for file in (*evaluations.values(), *analyses.values()) if file.note):
        st.warning(message(note))
    if not any(file.values for file in evaluations.values()):
        st.info(NO_EVALUATION)
    elif task == "fgvc":
        classification(evaluations, results)
    else:
        ranking(evaluations, results)
    shows_errors(gains)(evaluations, "per_class" if task == "fgvc" else "per_camera")  # what follows is shown anyway
    shows_errors(disagreement.section)(results, list(evaluations))
    map_scores(analyses, "maps" if task == "fgvc" else "twins")
    training(chosen)
    st.subheader("Cost of training")
    costs = [tables.cost_row(name, library().config(name), library().metrics(name).values) for name in chosen]
    st.dataframe(table(costs), hide_index=True)


def training(names: Sequence[str]) -> None:
    """The loss while training, of checkpoints that still lie in their run's folder or beside its log."""
    curves = {}
    for name in names:
        folder = library().folder / name
        place = next((place for place in (folder, folder.resolve().parent) if (place / LOG).is_file()), None)
        if place is not None:
            log = read_run_log(place)
            steps, losses = log.series("loss")
            curves[name] = list(steps), losses
    if curves:
        st.subheader("Training")
        charts.chart_of(charts.lines, curves, "step", "loss", key="training_chart")


def classification(evaluations: Files, results: Results) -> None:
    """Accuracies with intervals, and calibration."""
    st.subheader("Accuracy and calibration")
    rows = {name: file.values for name, file in evaluations.items() if file.values}
    found = {name: with_intervals(own, tables.CLASSIFIER) for name, own in rows.items()}
    charts.chart_of(charts.intervals, found, True, key="accuracy_chart")
    accuracies = [tables.accuracy_row(name, library().config(name), own) for name, own in rows.items()]
    st.dataframe(table(accuracies), hide_index=True)
    reliability(results)
    st.caption(CALIBRATION)


def reliability(results: Results) -> None:
    """How often answers of a confidence are right, from each image's answer; nothing where these were not kept."""
    curves = {}
    for name, found in results.items():
        if isinstance(found.answers, Predictions):
            own = found.answers.reliability()
            curves[name] = own.confidence.tolist(), own.accuracy.tolist()
    if curves:
        charts.chart_of(reliability_diagram, curves, key="reliability_chart")


def reliability_diagram(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> go.Figure:
    """{checkpoint: (confidences, shares that are right)} beside the line of calibrated answers."""
    figure = charts.lines(curves, "confidence", "share that is right", percent=True)
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"dash": "dot", "color": charts.COLOURS[6]})
    return figure.update_xaxes(tickformat=".0%", range=[0, 1])


def ranking(evaluations: Files, results: Results) -> None:
    """mAP and CMC under the protocol chosen."""
    st.subheader("Ranking")
    protocol = (
        st.segmented_control(
            "Protocol",
            list(tables.PROTOCOLS),
            default="across_cameras",
            format_func=tables.PROTOCOLS.__getitem__,
            key="protocol",
            bind="query-params",
        )
        or "standard"
    )
    found = {name: tables.protocol_figures(file.values, protocol) for name, file in evaluations.items()}
    found = {name: own for name, own in found.items() if own}
    if not found:
        st.info("These checkpoints were not evaluated under this protocol.")
        return
    left, right = st.columns(2)
    names = {"mAP": "mAP", "rank1": "rank-1", "mINP": "mINP"}
    figures = {name: with_intervals(own, names) for name, own in found.items()}
    charts.chart_of(charts.intervals, figures, True, key="ranking_chart", place=left)
    curves = {}
    for name, own in found.items():
        answers = results[name].answers if protocol == "standard" and name in results else None
        if isinstance(answers, QueryRanks):
            curve = answers.cmc().tolist()
            curves[name] = list(range(1, len(curve) + 1)), curve
        else:
            ranks = {rank: own[key] for key, rank in tables.RANKS.items() if key in own}
            curves[name] = list(ranks), list(ranks.values())
    words = "rank k", "queries with a match within k"
    charts.chart_of(charts.lines, curves, *words, True, key="cmc_chart", place=right)
    rows = [reid_captions.figures_row(name, library().config(name), own) for name, own in found.items()]
    st.dataframe(table(rows), hide_index=True)
    st.caption(reid_captions.FIGURES)


def with_intervals(figures: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, charts.Interval]:
    """{title: (value, low, high)} of the figures that were measured; without an interval both ends are the value."""
    found = {title: figures[key] for key, title in titles.items() if isinstance(figures.get(key), float)}
    ends = {title: figures.get("intervals", {}).get(key) for key, title in titles.items()}
    return {title: (value, *(ends[title] or (value, value))) for title, value in found.items()}


def gains(evaluations: Files, group: str) -> None:
    """Per class or camera: what one checkpoint gains over another, and what it loses."""
    names = list(evaluations)
    if len(names) < 2:
        return
    st.subheader("Gains and losses by class" if group == "per_class" else "Gains and losses by camera")
    left, right = st.columns(2)
    before = left.selectbox("From", names, key="before", bind="query-params")
    after = right.selectbox("To", names, index=len(names) - 1, key="after", bind="query-params")
    found = changes(evaluations[before].values, evaluations[after].values, group)
    better, worse = sum(change.gain > 0 for change in found), sum(change.gain < 0 for change in found)
    st.markdown(f"**{better} gain, {worse} lose, {len(found) - better - worse} are equal**, of {len(found)}.")
    st.dataframe(table(tables.change_rows(found)), hide_index=True, height=min(420, 38 * (len(found) + 1)))


def map_scores(analyses: Files, kind: str) -> None:
    """How well maps localise the object, and how faithful they are to the model."""
    st.subheader("Scores of the maps")
    measures = tables.MEASURES if kind == "maps" else tables.TWIN_MEASURES
    if not any(file.values for file in analyses.values()):
        st.info(NO_ANALYSIS)
        return
    measure = st.selectbox(
        "Measure", list(measures), format_func=measures.__getitem__, key=f"measure_{kind}", bind="query-params"
    )
    groups = {}
    for name, file in analyses.items():
        if kind == "maps":
            groups[name] = tables.map_rows(file.values.get("maps", {}), measure)
        else:
            own = file.values.get(measure, {})
            groups[name] = tables.map_rows({key: {"title": key, measure: value} for key, value in own.items()}, measure)
    groups = {name: own for name, own in groups.items() if own}
    if not groups:
        st.info("This was not measured for these checkpoints.")
        return
    charts.chart_of(charts.intervals, groups, key="map_scores_chart")
    datasets = dict.fromkeys(str(file.values.get("dataset")) for file in analyses.values() if file.values)
    st.caption(plain(" · ".join(datasets)))
