"""A data set's images as a grid, with what is annotated drawn over them; one image opens with its figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.analysis import on_part
from dcal.analysis.twins import part_shares, what_lies_on
from dcal.data.reid.yard import Yard, YardRecord
from dcal.data.yard_table import PARTS
from dcal_explorer.content import cards, match_captions
from dcal_explorer.content.numbers import share
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard import evaluated
from dcal_explorer.dashboard.choices import choose_checkpoint
from dcal_explorer.dashboard.drawn import drawn, version_of
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.markup import Html
from dcal_explorer.dashboard.sidebar import library, look, record_of

CSS = [STYLES / "cards.css"]
SOURCES = {"yard": "The yard", "evaluated": "Test images of a checkpoint"}
SPLITS = {"query": "Test", "train": "Training"}  # the yard's test images are queries and gallery at once
ANNOTATIONS = {"none": "Nothing", "parts": "Parts", "difference": "Differing part"}
PAGE = 24  # images at once
SIDE = 224  # pixels of an image in the grid
LARGE = 512  # of the one image
ALL = "all"
ABOUT = (
    "The yard: rendered vehicles in pairs of twins, each in front of eight cameras. Twins are equal except for one "
    "part, and the mask of every image says where."
)


@shows_errors
def page() -> None:
    """The yard with its annotations, or what a checkpoint was evaluated on."""
    for path in CSS:
        st.html(path)
    source = st.segmented_control(
        "Images", list(SOURCES), default="yard", format_func=SOURCES.__getitem__, key="source", bind="query-params"
    )
    if source == "evaluated":
        evaluated.section()
    else:
        yard()


def yard() -> None:
    """The yard's images with their annotations."""
    st.caption(ABOUT)
    split, found = filtered()
    if not found:
        st.info("No image is left: choose fewer filters.")
        return
    annotation = (
        st.segmented_control(
            "Draw over the images",
            list(ANNOTATIONS),
            default="none",
            format_func=ANNOTATIONS.__getitem__,
            key="annotation",
            bind="query-params",
        )
        or "none"
    )
    pages = -(-len(found) // PAGE)
    label = f"Page, of {pages}"
    number = st.number_input(label, 1, pages, 1, key=f"page_of_{pages}", bind="query-params") if pages > 1 else 1
    shown = found[(number - 1) * PAGE : number * PAGE]
    st.markdown(f"**{len(found):,} images**, {(number - 1) * PAGE + 1} to {(number - 1) * PAGE + len(shown)} shown.")
    st.html(Html(cards.drawn([(alt_text(r), thumbnail(str(r.path), annotation, r), lines(r)) for r in shown])))
    one_image(split, found, annotation)


@st.cache_resource(show_spinner="Reading the data set …")
def records(split: str) -> tuple[YardRecord, ...]:
    """The yard's records of a split."""
    return Yard(split=split).records


def filtered() -> tuple[str, list[YardRecord]]:
    """The split and its images that the filters admit."""
    columns = st.columns(5)
    split = columns[0].selectbox(
        "Split", list(SPLITS), format_func=SPLITS.__getitem__, key="split", bind="query-params"
    )
    every = records(split)
    model = choice(columns[1], "Model", sorted({r.label for r in every}), "model")
    camera = choice(columns[2], "Camera", [str(c) for c in sorted({r.camera for r in every})], "camera")
    vehicle = choice(columns[3], "Vehicle", [str(v) for v in sorted({r.identity for r in every})], "vehicle")
    part = choice(columns[4], "Differing part", sorted({r.differs for r in every}), "part")
    wanted = {"label": model, "camera": camera, "identity": vehicle, "differs": part}
    return split, [r for r in every if all(v in (ALL, str(getattr(r, name))) for name, v in wanted.items())]


def choice(column: st.delta_generator.DeltaGenerator, label: str, names: Sequence[str], key: str) -> str:
    return column.selectbox(label, [ALL, *names], key=key, bind="query-params")


def alt_text(record: YardRecord) -> str:
    return f"Vehicle {record.identity}, camera {record.camera}, {record.label}"


def lines(record: YardRecord) -> tuple[str, ...]:
    seen = "visible" if record.visible else "hidden"
    return f"vehicle {record.identity}", f"camera {record.camera}", f"{record.label}; {record.differs} {seen}"


def painted(record: YardRecord, annotation: str) -> np.ndarray:
    """The image with its annotation drawn over it."""
    return cached_painting(str(record.path), annotation, record)


@st.cache_data(show_spinner=False, max_entries=512)
def thumbnail(path: str, annotation: str, _record: YardRecord) -> str:
    """`painted`, small, as a data address: to encode the images of a page took more than half of a run."""
    return cards.address(painted(_record, annotation), SIDE)


@st.cache_data(show_spinner=False, max_entries=16)
def cached_painting(path: str, annotation: str, _record: YardRecord) -> np.ndarray:
    """`painted`, by the image's path."""
    pixels = np.asarray(dcal.read_image(_record.path).image)
    if annotation == "parts":
        return draw.regions(pixels, _record.parts())
    return draw.surround(pixels, _record.difference()) if annotation == "difference" else pixels


def one_image(split: str, found: Sequence[YardRecord], annotation: str) -> None:
    """One image large, a checkpoint's map over it, and how much of the map lies on vehicle and part."""
    st.subheader("One image")
    by_name = {record.path.stem: record for record in found}
    left, right = st.columns(2)
    name = left.selectbox(
        "Image", list(by_name), format_func=lambda n: alt_text(by_name[n]), key="image", bind="query-params"
    )
    checkpoint = choose_checkpoint("Checkpoint", library().names(), "image_checkpoint", right)
    record, style = by_name[name], look()
    of = record, version_of(record.path), version_of(record.mask)
    large = drawn((of, annotation), lambda: draw.tile(painted(record, annotation), LARGE))
    left.image(large, width="stretch", alt=alt_text(record))
    if annotation == "parts":
        left.html(legend(record.parts()))
    owner = record.identity if record.present else record.twin
    left.markdown(f"Its twin is vehicle {record.twin}. Vehicle {owner} has {match_captions.PARTS[record.differs]}.")
    seen = record_of(checkpoint, record.path.read_bytes())
    key = of, checkpoint, library().version(checkpoint), style
    map = drawn(key, lambda: draw.figure(seen, seen.sa_map, max_side=LARGE, **style.options()))
    right.image(map, width="stretch", alt=f"SA's map over {alt_text(record)}")
    right.markdown(energy(record, seen))


def energy(record: YardRecord, seen: dcal.Inspection) -> str:
    """How much of the rollout lies on the vehicle and on the part in which it differs from its twin."""
    _, vehicle = part_shares(record, seen)
    whole = what_lies_on(seen.sa_map, vehicle, vehicle)
    sentence = (
        f"**Rollout after the last layer**: how much each patch has contributed to the class token, as a share of it "
        f"(colour bar). {share(whole.share)} of it lies on the vehicle, which covers "
        f"{share(whole.area)} of the image."
    )
    if not record.visible:
        return f"{sentence} The differing part is not visible here."
    on = on_part(record, seen, seen.sa_map)
    return (
        f"{sentence} {share(on.share)} lies on the differing part, which covers {share(on.area)}: "
        f"{on.density:.1f} times as dense as on the whole vehicle."
    )


def legend(numbers: np.ndarray) -> str:
    """The parts in an image by name, each with its colour."""
    items = [
        f'<li><span style="background: rgb{draw.region_colour(int(number))}"></span>{PARTS[int(number)]}</li>'
        for number in np.unique(numbers)
        if number
    ]
    return f'<ul class="parts">{"".join(items)}</ul>'
