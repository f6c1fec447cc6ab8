"""Telling twins apart: does a model look at the part in which two vehicles of the yard differ?

Twins share everything but one part, and every image's mask marks that part (or the place where the other one has it).
So the right place to look is known exactly, which no photographs can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from dcal.analysis.maps import centre_map
from dcal.analysis.summary import mean_of
from dcal.data.reid.yard import YardRecord
from dcal.errors import DCALError
from dcal.explain.inspect import inspect
from dcal.explain.inspection import Inspection
from dcal.explain.match import explain_match
from dcal.model.dcal import DCAL
from dcal.model.embeddings import Embeddings
from dcal.progress import OnProgress, silent

Values = Float[np.ndarray, " pairs"]
QUERIES = 4  # images of each pair of twins whose matches are explained, at most: an explanation is several passes
MAPS = ("rollout", "glca", "centre", "even")
TITLES = {
    "same": "evidence that two images of one vehicle match",
    "twin": "evidence that a vehicle matches its twin",
    "rather": "evidence that an image matches its vehicle rather than the twin, where it is positive",
    "rollout": "rollout after the last layer (the SA map)",
    "glca": "GLCA map",
    "centre": "control: centre prior",
    "even": "control: spread evenly over the image",
}


@dataclass(frozen=True)
class Twins:
    """One number per pair of twins; nan where no two cameras see the part.

    `told_apart`, by way of comparing: of all (query, camera) in which the part shows, the share where the vehicle's own
    image is nearer than its twin's by the same camera; guessing gives 0.5, and equal distances count half. By map and
    branch ("same/sa"): `share`, how much of the map lies on the differing part, of all that the model sees ("even" says
    how much of that the part is); and `density`, how much denser it lies there than on the vehicle as a whole; a map
    spread evenly over the vehicle gives 1.
    """

    told_apart: dict[str, Values]
    share: dict[str, Values]
    density: dict[str, Values]
    images: int  # in which the part shows, of all pairs


def twins(
    model: DCAL,
    records: Sequence[YardRecord],
    found: Embeddings,
    on_progress: OnProgress = silent,
    seed: int = 0,
) -> Twins:
    """Both measures on images of whole pairs, `found` being their embeddings in the same order.

    Raises DCALError for a model in training mode and for images of vehicles without their twins.
    """
    pairs = pairs_of(records)
    told: list[dict[str, float]] = []
    on: list[tuple[dict[str, float], dict[str, float]]] = []
    images = 0
    for done, own in enumerate(pairs, 1):
        seen = {index: records[index] for index in own if records[index].visible}
        images += len(seen)
        told.append({name: told_apart(seen, values) for name, values in found.branches().items()})
        on.append(on_parts(model, list(seen.values()), seed))
        on_progress("pairs of twins", done, len(pairs))
    return Twins(by_name(told), by_name([share for share, _ in on]), by_name([dense for _, dense in on]), images)


def by_name(rows: list[dict[str, float]]) -> dict[str, Values]:
    """A column a name, in the order in which names first come; nan where a row has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def pairs_of(records: Sequence[YardRecord]) -> list[list[int]]:
    """The records' indices by pair of twins."""

    def first_of(index: int) -> int:
        return min(records[index].identity, records[index].twin)

    pairs = [list(own) for _, own in groupby(sorted(range(len(records)), key=first_of), first_of)]
    for own in pairs:
        if len({records[index].identity for index in own}) != 2:
            raise DCALError(f"vehicle {records[own[0]].identity} is there without its twin {records[own[0]].twin}")
    return pairs


def told_apart(seen: dict[int, YardRecord], values: Float32[np.ndarray, "n d"]) -> float:
    """The share of (query, other camera) where the vehicle is nearer to itself than to its twin; nan without any."""
    place = {(record.identity, record.camera): index for index, record in seen.items()}
    won = []
    for index, record in seen.items():
        for camera in {camera for _, camera in place} - {record.camera}:
            same, other = place.get((record.identity, camera)), place.get((record.twin, camera))
            if same is not None and other is not None:
                own, twin = values[index] @ values[same], values[index] @ values[other]
                won.append(0.5 if own == twin else float(own > twin))
    return float(np.mean(won)) if won else np.nan


def on_parts(model: DCAL, records: Sequence[YardRecord], seed: int = 0) -> tuple[dict[str, float], dict[str, float]]:
    """({map: its share on the differing part}, {map: its density}), means over the images of one pair of twins.

    Maps of single images are of all of them; evidence is of the queries drawn by `seed` (`questions`).
    """
    looked = {record.path: inspect(model, record.path) for record in records}
    found: dict[str, list[OnPart]] = {}
    for record in records:
        seen, parts = looked[record.path], part_shares(record, looked[record.path])
        maps = {"rollout": seen.sa_map, "glca": seen.glca_map}
        maps |= {"centre": centre_map(seen.layout), "even": np.ones(parts[0].shape)}
        for name, values in maps.items():
            if values is not None:
                found.setdefault(name, []).append(what_lies_on(values.reshape(parts[0].shape), *parts))
    for query, same, twin in questions(records, seed):
        parts = part_shares(query, looked[query.path])
        one, own, other = (looked[record.path] for record in (query, same, twin))
        kinds = {
            "same": explain_match(model, one, own),
            "twin": explain_match(model, one, other),
            "rather": explain_match(model, one, own, against=other),
        }
        for kind, match in kinds.items():
            for branch in dict.fromkeys(("fused", *match.branches)):
                on = what_lies_on(match.evidence(branch).query_map.clip(min=0), *parts)
                found.setdefault(f"{kind}/{branch}", []).append(on)
    ordered = {name: found[name] for name in dict.fromkeys((*MAPS, *found)) if name in found}
    return (
        {name: mean_of_known([on.share for on in own]) for name, own in ordered.items()},
        {name: mean_of_known([on.density for on in own]) for name, own in ordered.items()},
    )


def questions(records: Sequence[YardRecord], seed: int) -> list[tuple[YardRecord, YardRecord, YardRecord]]:
    """(a query, its own vehicle by another camera, the twin by that camera), `QUERIES` drawn by `seed` at most."""
    there = {(record.identity, record.camera): record for record in records}
    cameras = sorted({camera for _, camera in there})
    asked = []
    for _, query in sorted(there.items()):
        for camera in cameras:
            same, twin = there.get((query.identity, camera)), there.get((query.twin, camera))
            if camera != query.camera and same is not None and twin is not None:
                asked.append((query, same, twin))
    return [asked[index] for index in np.random.default_rng(seed).permutation(len(asked))[:QUERIES]]


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of those that are not nan, nan without any: a map that is zero everywhere has no density."""
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else np.nan


@dataclass(frozen=True)
class OnPart:
    """How much of a map lies on the part in which twins differ, in one image."""

    share: float  # of the map's sum
    area: float  # the part's, of what the model sees
    density: float  # as of `density`


def on_part(record: YardRecord, seen: Inspection, values: Float[np.ndarray, "rows cols"]) -> OnPart:
    """What of `values`, a map of `seen`, lies on the part. A map of zeros has none of it anywhere: nan."""
    return what_lies_on(values, *part_shares(record, seen))


def what_lies_on(
    values: Float[np.ndarray, "rows cols"],
    part: Float[np.ndarray, "rows cols"],
    vehicle: Float[np.ndarray, "rows cols"],
) -> OnPart:
    total = values.sum()
    share = float((values * part).sum() / total) if total != 0 else np.nan
    return OnPart(share, float(part.mean()), density(values, part, vehicle))


def part_shares(
    record: YardRecord, seen: Inspection
) -> tuple[Float[np.ndarray, "rows cols"], Float[np.ndarray, "rows cols"]]:
    """The shares of every patch that show (the differing part, the vehicle)."""
    left, top, right, bottom = seen.box
    difference, vehicle = record.difference(), record.parts() > 0
    down = pixel_shares(top, bottom, seen.layout.rows, difference.shape[0])
    across = pixel_shares(left, right, seen.layout.cols, difference.shape[1])
    vehicle |= difference  # where the part is missing, its place may stand out
    return down @ difference @ across.T, down @ vehicle @ across.T


def pixel_shares(low: float, high: float, patches: int, pixels: int) -> Float[np.ndarray, "patches pixels"]:
    """How much of each patch each pixel fills, along one axis: `patches` equal stretches from `low` to `high`."""
    edges, pixel = np.linspace(low, high, patches + 1), np.arange(pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return overlap.clip(min=0) * patches / (high - low)


def density(
    values: Float[np.ndarray, "rows cols"],
    part: Float[np.ndarray, "rows cols"],
    vehicle: Float[np.ndarray, "rows cols"],
) -> float:
    """(the map's sum on the part / on the vehicle) / (the part's area / the vehicle's); nan where the part is not."""
    on_vehicle, area = (values * vehicle).sum(), part.sum() / vehicle.sum()
    return float((values * part).sum() / on_vehicle / area) if on_vehicle != 0 and area > 0 else np.nan


def twin_summary(found: Twins, seed: int) -> dict[str, Any]:
    """JSON-ready: {pairs, images, told_apart, share, density}, the latter three as {name: {mean, low, high}}.

    The 95 % interval is the bootstrap's over pairs of twins.
    """
    return {
        "pairs": len(next(iter(found.told_apart.values()))),
        "images": found.images,
        "told_apart": {name: mean_of(values, seed) for name, values in found.told_apart.items()},
        "share": {name: mean_of(values, seed) for name, values in found.share.items()},
        "density": {name: mean_of(values, seed) for name, values in found.density.items()},
    }
