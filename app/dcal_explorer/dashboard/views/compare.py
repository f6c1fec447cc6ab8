"""One image through several checkpoints, side by side: the ablations, for instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.analysis.record_agreement import map_of, record_agreement
from dcal.explain.inspect import explain_class
from dcal.model.model_card import about as trained_with
from dcal_explorer.content import captions, compare_captions
from dcal_explorer.content.compare_captions import MAP_NAMES
from dcal_explorer.content.live_payload import live_payload
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard.choices import choose_checkpoints
from dcal_explorer.dashboard.drawn import drawn
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.image_bar import image
from dcal_explorer.dashboard.live import live
from dcal_explorer.dashboard.rows import table
from dcal_explorer.dashboard.sidebar import library, record_of
from dcal_explorer.dashboard.work import at_once, once, worked

CSS = [Path(__file__).with_name("compare.css"), STYLES / "bars.css"]
MOST = 4  # checkpoints
SIDE = 384  # pixels of a difference's longer side
LINK = "compare"  # views of one name move together
Seen = Mapping[str, dcal.Inspection]


@shows_errors
def page() -> None:
    """A live view for each checkpoint, which move together; the predictions above, agreement in numbers below."""
    for path in CSS:
        st.html(path)
    data = image()
    names = library().names()
    left, right = st.columns([3, 2])
    with left:
        compared = choose_checkpoints("Checkpoints", names, library().ablations(names[0])[:MOST], "compared", most=MOST)
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    before = inspected(compared, data)
    if not before:
        return
    for note in dict.fromkeys(note for record in before.values() for note in record.notes):
        st.caption(note)
    with right:
        target = choose_class(before)
    seen = {name: explained(name, library().version(name), data, target) for name in before}
    if verdict := captions.verdict(list(seen.values())):
        st.markdown(verdict)
    if not all(captions.names_classes(record.config) for record in seen.values()):
        st.caption(captions.NO_CLASSES)
    views(seen, f"{hash((data, target)):x}")
    predictions = [compare_captions.prediction_row(name, record) for name, record in seen.items()]
    st.dataframe(table(predictions), hide_index=True)
    if len(seen) > 1:
        agreement(seen, (data, target, *((name, library().version(name)) for name in seen)))


def inspected(names: list[str], data: bytes) -> dict[str, dcal.Inspection]:
    """The records, one checkpoint after the other; where the visitor stopped it, those that there are."""
    keys = [(name, library().version(name), data) for name in names]
    found = worked("compare", keys, at_once(lambda key: record_of(key[0], key[2])), "Inspecting the image", 3 * MOST)
    return {name: record for (name, _, _), record in found.items()}


def choose_class(seen: Seen) -> str | None:
    """The class whose evidence is compared: by default, what most checkpoints predict; None where none has classes."""
    classifiers = [record for record in seen.values() if captions.names_classes(record.config)]
    if not classifiers:
        return None
    first = Counter(record.top(1)[0][0] for record in classifiers).most_common(1)[0][0]
    shown = {name: text for text, name in captions.choices(classifiers[0])}
    ordered = [first, *(name for name in shown if name != first)]
    return st.selectbox(
        "Class whose evidence is shown",
        ordered,
        format_func=lambda name: shown.get(name, captions.readable(name)),
        key="compared_class",
        bind="query-params",
    )


@st.cache_resource(show_spinner="Computing …", max_entries=12)
def explained(checkpoint: str, version: str, image: bytes, target: str | None) -> dcal.Inspection:
    """The record with the evidence for a class, if the checkpoint knows it."""
    seen = record_of(checkpoint, image)
    if target is None or not captions.names_classes(seen.config) or target not in seen.classes:
        return seen
    return explain_class(library().model(checkpoint), seen, seen.classes.index(target))


def views(seen: Seen, of: str) -> None:
    """The controls of all, of the checkpoint that has most maps; then a column each, on the scales of them all."""
    scales = compare_captions.shared_scales(seen)
    packed = {
        name: packed_for(name, library().version(name), of, tuple(seen), record, scales)
        for name, record in seen.items()
    }
    most = max(packed, key=lambda name: len(packed[name]["maps"]))
    live(seen[most], packed[most], "compare-controls", library().model(most), LINK, "controls")
    with st.container(key="columns"):
        for number, (place, (name, record)) in enumerate(zip(st.columns(len(seen)), seen.items(), strict=True)):
            with place:
                st.html(f'<div class="about">{captions.about(record.config, name, library().metrics(name))}</div>')
                live(record, packed[name], f"compare-{number}", library().model(name), LINK, "maps")
                st.caption(f"Trained with {trained_with(record.config.ablation)}.")


@st.cache_resource(show_spinner=False, max_entries=12)
def packed_for(
    name: str, version: str, of: str, beside: tuple[str, ...], _seen: dcal.Inspection, _scales: Mapping[str, Any]
) -> dict[str, Any]:
    """A record for the live view. `of` stands for image and class, `beside` for the checkpoints on the same scales."""
    key = f"{name}@{hash((version, of, beside)):x}"
    scores = MapScores.of(library().analysis(name))
    return live_payload(_seen, key, name, of, _scales, has_model=True, scores=scores, checkpoint=name)


def agreement(seen: Seen, of: Hashable) -> None:
    """How far each checkpoint agrees with a reference, in numbers and in the difference of a map.

    `of` stands for the records.
    """
    st.subheader("Agreement with a reference")
    left, right = st.columns(2, vertical_alignment="bottom")
    reference = left.selectbox("Reference", list(seen), key="reference", bind="query-params")
    kind = right.segmented_control(
        "Map of the differences",
        list(MAP_NAMES),
        default="rollout",
        format_func=MAP_NAMES.__getitem__,
        key="difference_map",
        bind="query-params",
    )
    rows = once("agreement", (of, reference), lambda: agreement_rows(seen, seen[reference]))
    st.dataframe(table(rows), hide_index=True)
    st.caption(compare_captions.AGREEMENT)
    differences(seen, of, reference, kind or "rollout")


def agreement_rows(seen: Seen, reference: dcal.Inspection) -> list[dict[str, str]]:
    return [
        compare_captions.agreement_row(name, record, record_agreement(record, reference))
        for name, record in seen.items()
    ]


def differences(seen: Seen, of: Hashable, reference: str, kind: str) -> None:
    """Each other checkpoint's map minus the reference's, all on one scale. `of` stands for the records."""
    own = seen[reference]
    first, found = map_of(own, kind), {}
    for name, record in seen.items():
        second = map_of(record, kind)
        same_grid = record.layout == own.layout and record.box == own.box
        if name != reference and first is not None and second is not None and same_grid:
            found[name], _ = draw.difference(first, second)
    if not found:
        st.info("No other checkpoint has this map on the reference's grid.")
        return
    most = max(float(np.abs(delta).max()) for delta in found.values())
    for place, (name, delta) in zip(st.columns(MOST), found.items(), strict=False):
        scaled: dict[str, Any] = {"colormap": draw.DIVERGING, "low": -most, "high": most, "max_side": SIDE}
        image = drawn((of, reference, kind, name), partial(draw.figure, seen[name], delta, **scaled))
        caption = f"{plain(f'{name} − {reference}')} · {compare_captions.UNITS[kind]}"
        place.image(image, width="stretch", caption=caption, alt="Difference of maps")
