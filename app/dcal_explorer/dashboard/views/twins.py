"""The yard's pairs of twins through several checkpoints: does the evidence lie on the part in which they differ?"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import dcal
from dcal import draw
from dcal.analysis import on_part
from dcal.data.reid.yard import Yard, YardRecord
from dcal.draw import PAIR_SIDE
from dcal_explorer.content import captions, reid_captions
from dcal_explorer.content.ablation_tables import NOT_MEASURED, TWIN_MEASURES, spelled
from dcal_explorer.content.numbers import share, similarity
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.sidebar import library, look
from dcal_explorer.dashboard.views.reidentify import matched

SIDE = PAIR_SIDE * 3 // 4
KINDS = {"twin": "the twin", "same": "the same vehicle"}
ABOUT = (
    "Twins are two vehicles that are equal except for one part. A checkpoint that tells them apart must attend to that "
    "part, which is ringed in pink where the camera sees it."
)


@shows_errors
def page() -> None:
    """One pair of images through every checkpoint, and what was measured over all pairs."""
    names = library().names("reid")
    if not names:
        st.info(reid_captions.NO_CHECKPOINT)
        return
    st.caption(ABOUT)
    chosen = st.multiselect(
        "Checkpoints", names, library().ablations(names[0]), key="twins_compared", bind="query-params"
    )
    if not chosen:
        st.info("Choose at least one checkpoint.")
        return
    query, match = choose_pair()
    st.markdown(about(query))
    style = look()
    for name in chosen:
        left, right = st.columns([3, 2], vertical_alignment="center")
        found = matched(name, library().version(name), query.path.read_bytes(), match.path.read_bytes())
        evidence = found.evidence(next(iter(found.branches)) if len(found.branches) == 1 else "fused")
        of_query, of_match = (record.difference() if record.visible else None for record in (query, match))
        left.image(
            draw.pair(found, evidence, side=SIDE, regions=(of_query, of_match), **style.options()), width="stretch"
        )
        right.markdown(f"**{captions.attentions(library().config(name))}** · `{name}`")
        right.markdown(
            f"Similarity **{similarity(evidence.similarity)}**. {on_difference(query, match, found, evidence)}"
        )
    measured(chosen)


@st.cache_resource(show_spinner=False)
def test_records() -> tuple[YardRecord, ...]:
    """The yard's test images."""
    return Yard(split="query").records


def choose_pair() -> tuple[YardRecord, YardRecord]:
    """Two test images: of a vehicle, and of its twin or of itself, by cameras of one's choice."""
    records = test_records()
    firsts = {record.identity: record for record in records if record.identity < record.twin}
    columns = st.columns(4)
    identity = columns[0].selectbox(
        "Pair",
        list(firsts),
        format_func=lambda i: f"{i} and {firsts[i].twin}: {firsts[i].differs}",
        key="pair",
        bind="query-params",
    )
    kind = columns[1].selectbox(
        "Compare with", list(KINDS), format_func=KINDS.__getitem__, key="kind", bind="query-params"
    )
    own = {record.camera: record for record in records if record.identity == identity}
    other_identity = firsts[identity].twin if kind == "twin" else identity
    others = {record.camera: record for record in records if record.identity == other_identity}

    def label(camera: int) -> str:
        return f"camera {camera}" + ("" if own[camera].visible or others[camera].visible else " (part hidden)")

    seeing = [camera for camera, record in own.items() if record.visible] or list(own)
    first = columns[2].selectbox(
        "Query", list(own), index=list(own).index(seeing[0]), format_func=label, key="query_camera", bind="query-params"
    )
    cameras = [camera for camera in others if camera != first]
    seeing = [camera for camera in cameras if others[camera].visible] or cameras
    second = columns[3].selectbox(
        "Match", cameras, index=cameras.index(seeing[0]), format_func=label, key="match_camera", bind="query-params"
    )
    return own[first], others[second]


def about(query: YardRecord) -> str:
    """What distinguishes the pair."""
    owner, other = (query.identity, query.twin) if query.present else (query.twin, query.identity)
    return f"**{query.label}.** Vehicle {owner} has {reid_captions.PARTS[query.differs]}; vehicle {other} does not."


def on_difference(query: YardRecord, match: YardRecord, found: dcal.Match, evidence: dcal.Evidence) -> str:
    """How much of the evidence lies on the differing part, in each image that shows it."""
    sides = (("query", query, found.query, evidence.query_map), ("match", match, found.match, evidence.match_map))
    parts = []
    for name, record, seen, map in sides:
        if record.visible:
            on = on_part(record, seen, map)
            parts.append(
                f"{share(on.share)} of the {name}'s evidence ({on.density:.1f} times the vehicle's mean density)"
            )
    return f"On the differing part: {' and '.join(parts)}." if parts else "Neither camera sees the differing part."


def measured(chosen: Sequence[str]) -> None:
    """The analysis over all pairs, checkpoint by checkpoint."""
    st.subheader("Measured over all pairs of twins")
    rows, notes = [], []
    for name in chosen:
        file = library().analysis(name)
        notes += [file.note] if file.note else []
        told = file.values.get("told_apart", {})
        row = {"checkpoint": name, "trained with": captions.attentions(library().config(name))}
        for key, title in (("joined", "as it ranks"), ("sa", "SA alone"), ("glca", "GLCA alone")):
            own = told.get(key)
            row[title] = spelled(own["mean"], own["low"], own["high"]) if own else NOT_MEASURED
        rows.append(row)
    for note in notes:
        st.warning(note)
    st.dataframe(rows, hide_index=True)
    st.caption(f"{TWIN_MEASURES['told_apart']}; in brackets, 95% intervals over pairs.")
