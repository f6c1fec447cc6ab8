"""Validation splits: part of the training images set aside, drawn by a seed."""

from __future__ import annotations

import numpy as np

from dcal.data.records import Record
from dcal.data.reid.base import ReIDRecord


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
