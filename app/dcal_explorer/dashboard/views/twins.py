"""The yard's pairs of twins through several checkpoints: does the evidence lie on the part in which they differ?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.analysis import OnPart, on_part
from dcal.analysis.twin_pairs import TwinPair, told_apart_by_pair, twin_pairs
from dcal.analysis.twin_pairs import on_difference as explained_pair
from dcal.data.reid.yard import Yard, YardRecord
from dcal.draw import PAIR_SIDE
from dcal_explorer.content import captions, match_captions, reid_captions
from dcal_explorer.content.ablation_tables import NOT_MEASURED, TWIN_MEASURES, spelled
from dcal_explorer.content.markdown import message, plain
from dcal_explorer.content.numbers import decimal, margin, percent, share, similarity
from dcal_explorer.dashboard.choices import choose_checkpoints
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.query import galleries
from dcal_explorer.dashboard.sidebar import library, look
from dcal_explorer.dashboard.views.reidentify import MOST_MATCHES, Question, each, matched
from dcal_explorer.dashboard.work import at_once, worked

SIDE = PAIR_SIDE * 3 // 4
PAIR, PART = "pair", "differing part"  # columns of the tables of all pairs, beside a column for each checkpoint
KINDS = {"rather": "its own vehicle rather than the twin", "twin": "the twin", "same": "the same vehicle"}
ABOUT = (
    "Twins are two vehicles that are equal except for one part. A checkpoint that tells them apart must attend to that "
    "part, which is ringed in pink where the camera sees it."
)
EACH = (
    "How often each pair is told apart: nearer to itself than to its twin, over all cameras that see the part "
    "(guessing: 50%). Select a row to open the pair above."
)
ON_PART = (
    "How many times denser the evidence for its own vehicle rather than the twin is on the differing part than on the "
    "whole vehicle, for one query of each pair (evenly spread: 1)."
)


@shows_errors
def page() -> None:
    """One pair of images through every checkpoint, all pairs, and what was measured over them."""
    names = library().names("reid")
    if not names:
        st.info(reid_captions.NO_CHECKPOINT)
        return
    st.caption(ABOUT)
    chosen = choose_checkpoints("Checkpoints", names, library().ablations(names[0]), "twins_compared")
    if not chosen:
        st.info("Choose at least one checkpoint.")
        return
    query, match, twin = choose_pair()
    st.markdown(about(query))
    style = look()
    asked = {name: question(name, query, match, twin) for name in chosen}
    found = worked("matches", list(asked.values()), at_once(matched), "The evidence of each checkpoint", MOST_MATCHES)
    for number, (name, key) in enumerate(asked.items()):
        if key in found:
            one_checkpoint(number, name, query, match, twin, found[key], style.options())
    all_pairs(chosen)
    measured(chosen)


@st.cache_resource(show_spinner=False)
def test_records() -> tuple[YardRecord, ...]:
    """The yard's test images."""
    return Yard(split="query").records


@st.cache_resource(show_spinner=False)
def test_pairs() -> list[TwinPair]:
    return twin_pairs(test_records())


def choose_pair() -> tuple[YardRecord, YardRecord, YardRecord | None]:
    """(a test image of a vehicle, one of itself or of its twin, the twin's that it is held against or None)."""
    records = test_records()
    firsts = {record.identity: record for record in records if record.identity < record.twin}
    columns = st.columns([3, 4, 2, 2])
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
    twins = {record.camera: record for record in records if record.identity == firsts[identity].twin}
    others = twins if kind == "twin" else own

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
    return own[first], others[second], twins[second] if kind == "rather" else None


def about(query: YardRecord) -> str:
    """What distinguishes the pair."""
    owner, other = (query.identity, query.twin) if query.present else (query.twin, query.identity)
    return f"**{query.label}.** Vehicle {owner} has {match_captions.PARTS[query.differs]}; vehicle {other} does not."


def question(name: str, query: YardRecord, match: YardRecord, twin: YardRecord | None) -> Question:
    """What `matched` takes of a checkpoint and these images."""
    rival = None if twin is None else twin.path.read_bytes()
    return name, library().version(name), query.path.read_bytes(), match.path.read_bytes(), rival


def one_checkpoint(
    number: int,
    name: str,
    query: YardRecord,
    match: YardRecord,
    twin: YardRecord | None,
    found: dcal.Match,
    style: dict[str, Any],
) -> None:
    """The evidence of one checkpoint, and what of it lies on the part. `number` tells its drawing from the others'."""
    left, right = st.columns([3, 2], vertical_alignment="center")
    evidence = found.evidence()
    shown = (query, match) if twin is None else (query, match, twin)
    regions = [record.difference() if record.visible else None for record in shown]
    drawn = draw.pair(found, evidence, side=SIDE, regions=regions, **style)
    height, width = drawn.shape[:2]
    st.html(f"<style>.st-key-twin-{number} img {{ aspect-ratio: {width} / {height}; width: 100%; }}</style>")
    left.container(key=f"twin-{number}").image(
        drawn, width="stretch", alt=f"Query and match with the evidence of {name}"
    )
    right.markdown(f"**{captions.attentions(library().config(name))}** · {plain(name)}")
    score = f"Similarity **{similarity(evidence.similarity)}**."
    if evidence.against is not None:
        score = f"Margin **{margin(evidence.score)}**: {'told apart' if evidence.score > 0 else 'taken for its twin'}."
    right.markdown(f"{score} {on_difference(query, match, found, evidence)}")


def on_difference(query: YardRecord, match: YardRecord, found: dcal.Match, evidence: dcal.Evidence) -> str:
    """How much of the evidence lies on the differing part, in each image that shows it."""
    sides = (("query", query, found.query, evidence.query_map), ("match", match, found.match, evidence.match_map))
    parts = []
    for name, record, seen, map in sides:
        if record.visible:
            on = on_part(record, seen, map.clip(min=0))
            parts.append(
                f"{share(on.share)} of the {name}'s evidence ({on.density:.1f} times the vehicle's mean density)"
            )
    return f"On the differing part: {' and '.join(parts)}." if parts else "Neither camera sees the differing part."


def all_pairs(chosen: Sequence[str]) -> None:
    """Every pair by every checkpoint: told apart, and, on request, where the evidence lies."""
    pairs = test_pairs()
    st.subheader(f"All {len(pairs)} pairs")
    failed: dict[str, str] = {}
    told = each(chosen, lambda name: told_apart(name, galleries().version(name)), failed)
    for name, why in failed.items():
        st.warning(message(f"{name}: {why}"))
    about = [{PAIR: f"{pair.identities[0]} and {pair.identities[1]}", PART: pair.differs} for pair in pairs]
    rows = [
        own | {heading(name): shown(told.get(name, {}).get(pair.identities)) for name in chosen}
        for own, pair in zip(about, pairs, strict=True)
    ]
    st.dataframe(
        rows, hide_index=True, height="content", on_select=open_row, selection_mode="single-row", key="pairs_told"
    )
    st.caption(EACH)
    if not st.toggle("Also explain all pairs (about a second for each pair and checkpoint)", key="explain_pairs"):
        return
    asked = [(name, library().version(name), place) for name in chosen for place in range(len(pairs))]
    found = worked("pairs", asked, at_once(evidence_of_pair), "The evidence of all pairs")
    st.dataframe(
        [
            own | {heading(name): on_the_part(found.get((name, library().version(name), place))) for name in chosen}
            for place, own in enumerate(about)
        ],
        hide_index=True,
        height="content",
        key="pairs_explained",
    )
    st.caption(ON_PART)


def heading(checkpoint: str) -> str:
    """The title of a checkpoint's column, which is none of the others'."""
    return f"checkpoint {checkpoint}" if checkpoint in (PAIR, PART) else checkpoint


def open_row() -> None:
    """The pair of the selected row becomes the one above."""
    if rows := st.session_state["pairs_told"]["selection"]["rows"]:
        st.session_state["pair"] = test_pairs()[rows[0]].identities[0]


@st.cache_resource(show_spinner=False, max_entries=8)
def told_apart(name: str, version: str) -> dict[tuple[int, int], float]:
    """How often each pair is told apart, by the checkpoint's gallery; nothing where that is not the yard's."""
    gallery = galleries().open(name)
    known = [(index, gallery.known(item)) for index, item in enumerate(gallery.embedded.items)]
    there = [(index, record) for index, record in known if record is not None]
    identities = {record.identity for _, record in there}
    whole = [(index, record) for index, record in there if record.twin in identities]
    if not whole:
        return {}
    rows = gallery.embedded.rows(np.array([index for index, _ in whole]))
    return told_apart_by_pair([record for _, record in whole], rows)


def evidence_of_pair(asked: tuple[str, str, int]) -> OnPart | None:
    """What of the evidence lies on a pair's part, by checkpoint; None where no two cameras see it."""
    name, _, place = asked
    pair = test_pairs()[place]
    return None if pair.question is None else explained_pair(library().model(name), pair.question)[1]


def shown(value: float | None) -> str:
    return NOT_MEASURED if value is None or np.isnan(value) else percent(value)


def on_the_part(on: OnPart | None) -> str:
    return NOT_MEASURED if on is None or np.isnan(on.density) else f"{decimal(on.density)} ({share(on.share)})"


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
        st.warning(message(note))
    st.dataframe(rows, hide_index=True)
    st.caption(f"{TWIN_MEASURES['told_apart']}; in brackets, 95% intervals over pairs.")
