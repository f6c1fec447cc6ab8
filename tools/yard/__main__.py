"""Render the yard: python -m tools.yard OUT (needs the `yard` extra). What OUT holds already is kept."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dcal.data.yard_table import MARK, PARTS
from tools.yard.station import STATIONS
from tools.yard.twins import SEED, Vehicle, fleet

COLUMNS = ("path", "mask", "identity", "camera", "split", "label", "twin", "differs", "present", "visible", "colour")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.yard", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for images/, masks/ and yard.csv")
    parser.add_argument("--identities", type=int, nargs="*", help="only these (from 1), in this order; all by default")
    parser.add_argument("--seed", type=int, default=SEED, help="other vehicles, all of them to train with")
    parser.add_argument("--samples", type=int, default=8, help="light paths a pixel, before denoising")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    of_one_fleet(chosen.out, chosen.seed)
    vehicles = fleet(chosen.seed)
    wanted = [vehicles[number - 1] for number in chosen.identities] if chosen.identities else list(vehicles)
    render(wanted, chosen.out, chosen.samples, chosen.threads)
    write_table(vehicles, chosen.out)


def of_one_fleet(out: Path, seed: int) -> None:
    """Ends the program where `out` holds images of another seed's vehicles, which would be taken for these."""
    note = out / "seed"
    held = int(note.read_text()) if note.is_file() else SEED if (out / "images").is_dir() else seed
    if held != seed:
        raise SystemExit(f"{out} holds the vehicles of seed {held}: give another folder for those of seed {seed}")
    out.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{seed}\n")


def image_path(out: Path, vehicle: Vehicle, camera: int) -> Path:
    return out / "images" / f"{vehicle.identity:04d}_c{camera + 1}.webp"


def mask_path(out: Path, vehicle: Vehicle, camera: int) -> Path:
    return out / "masks" / f"{vehicle.identity:04d}_c{camera + 1}.png"


def render(vehicles: list[Vehicle], out: Path, samples: int, threads: int) -> None:
    """Every image that is not there yet."""
    from tools.yard.photograph import Studio

    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    studio = Studio(samples, threads)
    for vehicle in vehicles:
        todo = [c for c in range(len(STATIONS)) if not mask_path(out, vehicle, c).is_file()]
        if not todo:
            continue
        start = time.monotonic()
        studio.place(vehicle)
        for camera in todo:
            image, mask = studio.shoot(camera)
            save(image, image_path(out, vehicle, camera))
            save(indexed(mask), mask_path(out, vehicle, camera))  # last: it says that both are there
        seconds = (time.monotonic() - start) / len(todo)
        print(f"{vehicle.identity:4d} {vehicle.kind.label}: {seconds:.1f} s an image", file=sys.stderr, flush=True)


def save(image: Image.Image, path: Path) -> None:
    """Written whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    if path.suffix == ".webp":
        image.save(temporary, "WEBP", quality=92, method=6)
    else:
        image.save(temporary, "PNG", optimize=True)
    os.replace(temporary, path)


def indexed(mask: np.ndarray) -> Image.Image:
    """Part numbers as an image with a palette: a hue a part, bright where the twins differ."""
    image = Image.fromarray(mask, "L").convert("P")
    image.putdata(mask.ravel().tolist())
    palette = np.zeros((256, 3), np.uint8)
    number = np.arange(1, len(PARTS))
    palette[number] = np.stack([40 + 97 * number % 120, 40 + 57 * number % 120, 40 + 31 * number % 120], 1)
    palette[MARK:] = (255, 0, 255)
    image.putpalette(palette.ravel().tolist())
    return image


def write_table(vehicles: Sequence[Vehicle], out: Path) -> None:
    """yard.csv: a row an image of every pair of twins that is rendered whole."""
    missing = {v.pair for v in vehicles for c in range(len(STATIONS)) if not mask_path(out, v, c).is_file()}
    temporary = out / ".yard.csv"
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for v in vehicles:
            if v.pair in missing:
                continue
            twin = v.identity + (1 if v.identity % 2 else -1)
            for c in range(len(STATIONS)):
                image, mask = image_path(out, v, c), mask_path(out, v, c)
                with Image.open(mask) as file_:
                    visible = int((np.asarray(file_) >= MARK).sum())
                places = (str(path.relative_to(out).as_posix()) for path in (image, mask))
                row = (v.identity, c + 1, v.split, v.kind.label, twin, v.differs, int(v.present), visible, v.colour)
                writer.writerow((*places, *row))
    os.replace(temporary, out / "yard.csv")


if __name__ == "__main__":
    main()
