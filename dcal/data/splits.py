"""Validation splits: part of the training images set aside, drawn by a seed or by their dates."""

from __future__ import annotations

import numpy as np

from dcal.data.records import Record
from dcal.data.reid.base import ReIDRecord
from dcal.errors import DCALError


def hold_out(records: tuple[Record, ...], fraction: float, seed: int) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """(kept, held out): of every class, round(fraction × its images) drawn by `seed` are held out."""
    random = np.random.default_rng((seed, 0))
    members: dict[int, list[int]] = {}
    for index, record in enumerate(records):
        members.setdefault(record.label, []).append(index)
    held = {int(i) for own in members.values() for i in random.permutation(own)[: round(fraction * len(own))]}
    return (
        tuple(record for index, record in enumerate(records) if index not in held),
        tuple(record for index, record in enumerate(records) if index in held),
    )


def hold_out_identities(
    records: tuple[ReIDRecord, ...], fraction: float, seed: int
) -> tuple[tuple[ReIDRecord, ...], tuple[ReIDRecord, ...]]:
    """(kept, held out): all images of round(fraction × the identities), drawn by `seed`, are held out.

    In re-identification those that are asked for are strangers, so whole identities must be.
    """
    identities = sorted({record.identity for record in records})
    order = np.random.default_rng((seed, 0)).permutation(len(identities))
    held = {identities[place] for place in order[: round(fraction * len(identities))]}
    return (
        tuple(record for record in records if record.identity not in held),
        tuple(record for record in records if record.identity in held),
    )


def hold_out_later(
    records: tuple[ReIDRecord, ...], fraction: float
) -> tuple[tuple[ReIDRecord, ...], tuple[ReIDRecord, ...]]:
    """(earlier, later): the later images, at least `fraction` of all, and all of one moment on the same side.

    What is found on a day is found more easily among images of the same day: a model that will be asked about later
    images is to be judged by later ones. Raises DCALError if an image has no date, and if one side would be empty.
    """
    dates = [record.date for record in records]
    if undated := sum(date is None for date in dates):
        raise DCALError(f"{undated:,} of the {len(records):,} images have no date: they cannot be split by time")
    known = sorted(date for date in dates if date is not None)
    place = len(known) - max(1, round(fraction * len(known)))
    if place < 1 or known[place] == known[0]:
        raise DCALError(
            f"{fraction:.0%} of {len(records):,} images cannot be held out by time: too few are earlier than the rest"
        )
    return (
        tuple(record for record, date in zip(records, dates, strict=True) if date is not None and date < known[place]),
        tuple(record for record, date in zip(records, dates, strict=True) if date is not None and date >= known[place]),
    )
