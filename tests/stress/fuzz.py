"""Mutated image files of every promised format."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from dcal import ImageError, read_image
from tests.fixtures.hostile_images import mutants
from tests.stress.figures import Figure, none_of

MUTANTS = 5000


def fuzz(short: bool, folder: Path) -> list[Figure]:
    """Each is read or refused with an ImageError."""
    count = MUTANTS // 10 if short else MUTANTS
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for _, data in mutants(count, seed=1):
        start = time.process_time()
        try:
            read_image(data)
            outcomes["read"] += 1
        except ImageError:
            outcomes["refused"] += 1
        except Exception as error:
            outcomes[type(error).__name__] += 1
        slowest = max(slowest, time.process_time() - start)
    others = sum(outcomes.values()) - outcomes["read"] - outcomes["refused"]
    return [
        Figure("mutated images: read, refused", f"{outcomes['read']:,}, {outcomes['refused']:,} of {count:,}"),
        none_of("mutated images: another error than ImageError", others, count),
        Figure("mutated images: the slowest", f"{slowest:.2f} s"),
    ]
