"""predictions.npz: what a checkpoint answered on every test image, and coarse maps of what it attended to.

`dcal eval` writes it beside evaluation.json; docs/data.md describes its arrays. Some 150 bytes an image.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcal.errors import DCALError
from dcal.evaluation.coarse_maps import CoarseMaps
from dcal.evaluation.predictions import Predictions, QueryRanks

PREDICTIONS = "predictions.npz"
FORMAT = 1
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal results are equal bytes
CLASSIFIED = {"class": "predicted", "confidence": "confidence", "own": "own"}  # ending of an array → its field
RANKED = {"ap": "ap", "first": "first"}
# What reading a file that is none of ours, or was damaged, can raise.
DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class ImageResults:
    """The results of one checkpoint on every test image of a data set (Re-ID: on every query), in its order."""

    fingerprint: str  # SHA-256 of the weights
    dataset: str  # as evaluation.json names it
    view: str  # how images become the model's input: maps of equal views show the same part of an image
    images: tuple[str, ...]  # paths below the data set's root
    answers: Predictions | QueryRanks
    maps: Mapping[str, CoarseMaps]  # `raw`, `rollout` and, with GLCA, `glca_input`: see `dcal.analysis.maps`
    classes: tuple[str, ...] = ()  # of a classifier, by label

    def __post_init__(self) -> None:
        """Raises DCALError for parts that do not belong together."""
        n = len(self.images)
        kinds = (CLASSIFIED if isinstance(self.answers, Predictions) else RANKED).values()
        columns = [column for kind in kinds for column in getattr(self.answers, kind).values()]
        lengths = {len(self.answers), *map(len, columns), *map(len, self.maps.values())}
        if lengths != {n}:
            raise DCALError(f"results of {n} images hold columns of {sorted(lengths)} rows")


def packed(found: ImageResults) -> bytes:
    """The file's content; equal results give equal bytes."""
    about = {"format": FORMAT, "fingerprint": found.fingerprint, "dataset": found.dataset, "view": found.view}
    about |= {"images": found.images, "classes": found.classes}
    arrays: dict[str, np.ndarray] = {f"map_{name}": values for name, values in found.maps.items()}
    answers = found.answers
    if isinstance(answers, Predictions):
        about["digest"] = answers.images
        arrays |= {"labels": answers.labels.astype(np.int32), **flat(answers, CLASSIFIED)}
    else:
        about["identities"] = answers.identities
        arrays |= {"cameras": answers.cameras.astype(np.int32), **flat(answers, RANKED)}
    arrays["about"] = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), dtype=np.uint8)
    return zipped(arrays)


def flat(answers: Predictions | QueryRanks, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """{"sa_class": …}: a column for every branch and kind; numbers in 32 bits."""
    kept = {}
    for ending, field in kinds.items():
        for branch, values in getattr(answers, field).items():
            kept[f"{branch}_{ending}"] = values.astype(np.int32 if values.dtype.kind in "iu" else np.float32)
    return kept


def zipped(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed NPZ file as `numpy.savez_compressed` makes it, but for the time of day."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in sorted(arrays):
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", LONG_AGO), one.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return whole.getvalue()


def read_image_results(folder: Path, fingerprint: str | None = None) -> ImageResults | None:
    """The results beside a checkpoint; None if there are none, or none of these weights. Nothing is unpickled.

    Raises DCALError, naming the file, if it is damaged, of another release, or holds parts that do not fit together.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes())
        if about["format"] != FORMAT:
            raise DCALError(f"{path} has format {about['format']}; this release reads format {FORMAT}")
        found = unpacked(about, arrays)
    except DAMAGE as error:
        raise DCALError(f"{path} cannot be read ({error}): run dcal eval again") from error
    return found if fingerprint in (None, found.fingerprint) else None


def unpacked(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ImageResults:
    def columns(ending: str) -> dict[str, np.ndarray]:
        return {name.removesuffix(f"_{ending}"): v for name, v in arrays.items() if name.endswith(f"_{ending}")}

    answers: Predictions | QueryRanks
    if "labels" in arrays:
        fields = {field: columns(ending) for ending, field in CLASSIFIED.items()}
        answers = Predictions(str(about["digest"]), arrays["labels"], **fields)
    else:
        fields = {field: columns(ending) for ending, field in RANKED.items()}
        answers = QueryRanks(tuple(about["identities"]), arrays["cameras"], **fields)
    maps = {name.removeprefix("map_"): values for name, values in arrays.items() if name.startswith("map_")}
    fingerprint, dataset, view = (str(about[name]) for name in ("fingerprint", "dataset", "view"))
    images, classes = tuple(about["images"]), tuple(about["classes"])
    return ImageResults(fingerprint, dataset, view, images, answers, maps, classes)
