"""Where the faces find what they show: samples, style sheets, checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

STYLES = Path(__file__).resolve().parent  # style sheets that both faces use
SAMPLES = STYLES.parent / "samples"
CHECKPOINTS_VARIABLE = "DCAL_CHECKPOINTS"  # environment: another folder of checkpoints, for the dashboard
GALLERY_VARIABLE = "DCAL_GALLERY"  # a gallery that `dcal index build` made, beside the checkpoints' own
DATA_ROOT_VARIABLE = "DCAL_DATA_ROOT"  # the folder that holds the data set of `dcal eval`, for its images
RUNS_VARIABLE = "DCAL_RUNS"  # the folder that holds run folders
CHECKPOINTS = STYLES.parents[2] / "checkpoints"  # of a checkout; a wheel has none
STUDY_RUNS = STYLES.parents[2] / "docs" / "results" / "study"  # likewise: kept runs, of four of them the log


def sample_images() -> list[Path]:
    """The images that come with the faces."""
    return sorted(SAMPLES.glob("*.webp"))


def gallery_places() -> list[Path]:
    """The galleries, or folders of galleries, that the environment names."""
    return [Path(place) for place in os.environ.get(GALLERY_VARIABLE, "").split(os.pathsep) if place]
