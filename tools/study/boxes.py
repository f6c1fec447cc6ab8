"""A yard cut to its vehicles: every image and mask to the vehicle's box, which the mask tells.

    python -m tools.study.boxes OUT [--yard YARD]

Re-ID's data sets hold such cuts; the yard's images are whole scenes, of which vehicles fill a quarter. OUT is a yard of
its own: `dcal eval --task reid --dataset yard --data-root OUT`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dcal.data.reid.yard import Yard
from dcal.data.yard_table import HOME, TABLE, read_table
from dcal.errors import DCALError

READ_AS = {"train": "train", "test": "query"}  # a test image is query and gallery
MARGIN = 0.04  # of the box's side, on every side


def box_of(parts: UInt8[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not background, with the margin, within the image.

    Raises DCALError for an image without a vehicle.
    """
    rows, columns = np.flatnonzero((parts > 0).any(axis=1)), np.flatnonzero((parts > 0).any(axis=0))
    if not rows.size:
        raise DCALError("the mask shows no vehicle, so there is no box to cut to")
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    down, aside = round(MARGIN * (bottom - top)), round(MARGIN * (right - left))
    height, width = parts.shape
    return max(left - aside, 0), max(top - down, 0), min(right + aside, width), min(bottom + down, height)


def cut(yard: Path, out: Path) -> int:
    """Write `yard`'s images and masks, cut, to `out`; how many. What lies there already is left as it is."""
    count, splits = 0, {row["split"] for row in read_table(yard)}
    for split in sorted(splits):
        for record in Yard(yard, READ_AS[split], strict=False).records:
            box = box_of(record.parts())
            places = [out / path.relative_to(yard) for path in (record.path, record.mask)]
            for place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
            record.open().crop(box).save(places[0].with_suffix(".png"))
            with Image.open(record.mask, formats=("PNG",)) as mask:
                mask.crop(box).save(places[1])
            count += 1
    table = (yard / TABLE).read_text(encoding="utf-8").replace(".webp,", ".png,")
    (out / TABLE).write_text(table, encoding="utf-8")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.study.boxes", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--yard", type=Path, default=HOME)
    given = parser.parse_args()
    print(f"{cut(given.yard, given.out)} images cut to their vehicles in {given.out}")


if __name__ == "__main__":
    main()
