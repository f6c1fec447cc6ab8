"""The image that pages show: an upload, a sample, or an image of a data set. It goes along from page to page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dcal import ImageError
from dcal.image import ENDINGS
from dcal_explorer.content import places
from dcal_explorer.content.image_folders import image_path
from dcal_explorer.content.markdown import plain
from dcal_explorer.dashboard.choices import asked_for, keep, remember
from dcal_explorer.dashboard.folders import image_roots

KINDS = sorted(ending[1:] for ending in ENDINGS)
SAMPLE, UPLOAD = "sample", "upload"  # keys of the controls
UPLOADED = "kept_upload"  # in the session: (name, bytes)
GONE = "The image `{}` is not in the samples, nor below the data folders. Choose another, or give --data-root."


def samples() -> dict[str, Path]:
    """The bundled images, by a readable name."""
    return {path.stem.replace("-", " "): path for path in places.sample_images()}


def image() -> bytes:
    """The chosen image's bytes. Raises ImageError if it is not there any more."""
    with st.sidebar:
        st.file_uploader("Image", type=KINDS, key=UPLOAD, on_change=keep_upload)
        upload = st.session_state.get(UPLOADED)
        if upload is not None and st.session_state.get(UPLOAD) is None:
            st.caption(f"Uploaded: **{plain(upload[0])}**")
            st.button("Remove the upload", on_click=forget_upload)
        names = samples()
        for name in asked_for(SAMPLE):
            if name not in names and (path := image_path(name, image_roots())) is not None:
                names[name] = path
        missing = [name for name in asked_for(SAMPLE) if name not in names]
        remember(SAMPLE)
        chosen = st.selectbox(
            "… or a sample", [*names, *missing], key=SAMPLE, bind="query-params", disabled=upload is not None
        )
    if upload is not None:
        return bytes(upload[1])
    keep(SAMPLE, chosen)
    if chosen in missing:
        raise ImageError(GONE.format(chosen))
    return names[chosen].read_bytes()


def keep_upload() -> None:
    """After a visitor uploaded an image, or removed it."""
    upload = st.session_state.get(UPLOAD)
    if upload is None:
        forget_upload()
    else:
        st.session_state[UPLOADED] = upload.name, upload.getvalue()


def forget_upload() -> None:
    st.session_state.pop(UPLOADED, None)


def show_next(name: str) -> None:
    """The image that the next page shows: a data set's, by its path below the data folder."""
    forget_upload()
    st.session_state.pop(SAMPLE, None)
    keep(SAMPLE, name)
