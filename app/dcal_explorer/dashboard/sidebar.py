"""The checkpoints, and how maps are drawn. Models and records are cached by name and content."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal_explorer.content import places
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.dashboard.folders import folder

CHECKPOINTS = places.CHECKPOINTS_VARIABLE


@dataclass(frozen=True)
class Look:
    """How maps are drawn: keyword arguments of `dcal.draw.overlay`."""

    colormap: str
    opacity: float
    smooth: bool

    def options(self) -> dict[str, Any]:
        return {"colormap": self.colormap, "opacity": self.opacity, "smooth": self.smooth}


@lru_cache(8)  # a page asks for it some forty times, and Streamlit's cache takes longer than what is asked for
def opened_library(folder: str) -> CheckpointLibrary:
    """The checkpoints of a folder, loaded once for all visitors."""
    return CheckpointLibrary(folder)


def library() -> CheckpointLibrary:
    """The checkpoints of the folder that the sidebar or the command line names."""
    return opened_library(folder(CHECKPOINTS) or str(places.CHECKPOINTS))


# Resources, not data: data would be copied at every rerun, and these are only read.
@st.cache_resource(show_spinner=False, max_entries=3)
def decoded(image: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels of an image file, decoded once for all checkpoints, and what to know about it."""
    found = dcal.read_image(image)
    return np.asarray(found.image), found.notes


@st.cache_resource(show_spinner="Computing …", max_entries=12)
def cached_record(checkpoint: str, version: str, image: bytes) -> dcal.Inspection:
    """The record of an image file's bytes, by checkpoint name and files. Raises DCALError for a bad image."""
    pixels, notes = decoded(image)
    seen = dcal.inspect(library().model(checkpoint), pixels)
    return dataclasses.replace(seen, image=pixels, notes=notes + seen.notes)


def record_of(checkpoint: str, image: bytes) -> dcal.Inspection:
    """`cached_record` for the checkpoint's files as they are now."""
    return cached_record(checkpoint, library().version(checkpoint), image)


def look() -> Look:
    """The sidebar's drawing options."""
    with st.sidebar:
        colormap = st.selectbox("Colour map", list(draw.COLORMAPS), key="colormap", bind="query-params")
        opacity = st.slider("Opacity", 0.0, 1.0, 0.6, 0.05, key="opacity", bind="query-params")
        smooth = st.toggle("Smooth between patches", key="smooth", bind="query-params")
    return Look(colormap, opacity, smooth)
