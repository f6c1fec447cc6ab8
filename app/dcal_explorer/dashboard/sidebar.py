"""What the sidebar chooses: a photo, and how maps are drawn. Models and records are cached by name and content."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal_explorer.content import places
from dcal_explorer.content.checkpoints import CheckpointLibrary

KINDS = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
CHECKPOINTS = "DCAL_CHECKPOINTS"  # environment: another folder of checkpoints


@dataclass(frozen=True)
class Look:
    """How maps are drawn: keyword arguments of `dcal.draw.overlay`."""

    colormap: str
    opacity: float
    smooth: bool

    def options(self) -> dict[str, Any]:
        return {"colormap": self.colormap, "opacity": self.opacity, "smooth": self.smooth}


@st.cache_resource(show_spinner="Opening the checkpoints …")
def shelf(folder: str) -> CheckpointLibrary:
    """The checkpoints of a folder, loaded once for all visitors."""
    return CheckpointLibrary(folder)


def checkpoints() -> CheckpointLibrary:
    return shelf(os.environ.get(CHECKPOINTS, str(places.CHECKPOINTS)))


# Resources, not data: data would be copied at every rerun, and these are only read.
@st.cache_resource(show_spinner=False, max_entries=3)
def opened(photo: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """The picture in a file's bytes as pixels, read once for all checkpoints, and what to know about it."""
    picture = dcal.read_image(photo)
    return np.asarray(picture.image), picture.notes


@st.cache_resource(show_spinner="Looking …", max_entries=12)
def seen_by(checkpoint: str, version: str, photo: bytes) -> dcal.Inspection:
    """The record of `photo` (a file's bytes), by checkpoint name and files. Raises DCALError for a bad picture."""
    pixels, notes = opened(photo)
    seen = dcal.inspect(checkpoints().model(checkpoint), pixels)
    return dataclasses.replace(seen, photo=pixels, notes=notes + seen.notes)


def look_at(checkpoint: str, photo: bytes) -> dcal.Inspection:
    """`seen_by` for the files as they are now; a picture that cannot be shown ends the run with its message."""
    try:
        return seen_by(checkpoint, checkpoints().version(checkpoint), photo)
    except dcal.DCALError as error:
        st.error(str(error), icon=":material/broken_image:")
        st.stop()


def samples() -> dict[str, Path]:
    """The bundled pictures, by a readable name."""
    return {path.stem.replace("-", " "): path for path in places.sample_images()}


def photo() -> bytes:
    """The chosen photo's bytes: an upload, or else a sample."""
    with st.sidebar:
        upload = st.file_uploader("Photo", type=KINDS, key="upload")
        names = samples()
        sample = st.selectbox(
            "… or a sample", list(names), key="sample", bind="query-params", disabled=upload is not None
        )
    return upload.getvalue() if upload is not None else names[sample].read_bytes()


def look() -> Look:
    """The sidebar's drawing options."""
    with st.sidebar:
        colormap = st.selectbox("Colour map", list(draw.COLORMAPS), key="colormap", bind="query-params")
        opacity = st.slider("Opacity", 0.0, 1.0, 0.6, 0.05, key="opacity", bind="query-params")
        smooth = st.toggle("Smooth between patches", key="smooth", bind="query-params")
    return Look(colormap, opacity, smooth)
