"""Draws every sample picture anew: `python -m tools.samples.draw --out DIR` (scikit-image is needed for the cat).

The same bytes come out with the same versions of NumPy, OpenCV and Pillow: each picture has its own fixed seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
from PIL import Image as Pillow

from tools.samples import perches, waterbirds
from tools.samples.lens import write


def cat() -> Pillow.Image:
    """Chelsea the cat, the CC0 photograph inside scikit-image's wheel: not a bird."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("cat.webp is made from scikit-image's chelsea.png: pip install scikit-image")
    return Pillow.open(Path(package.origin).parent / "data" / "chelsea.png").convert("RGB")


PICTURES: dict[str, Callable[[], Pillow.Image]] = {
    "cardinal": perches.cardinal,
    "american-goldfinch": perches.american_goldfinch,
    "painted-bunting": perches.painted_bunting,
    "european-goldfinch": perches.european_goldfinch,
    "indigo-bunting": perches.indigo_bunting,
    "red-winged-blackbird": perches.red_winged_blackbird,
    "eared-grebe": waterbirds.grebe,
    "black-footed-albatross": waterbirds.albatross,
    "cat": cat,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes NAME.webp for each picture, or for those named, and prints its size."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.samples.draw", description="Draw the demo's sample pictures."
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: here)")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"pictures to draw (default: all): {', '.join(PICTURES)}"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(PICTURES))
    if unknown:
        parser.error(f"no picture named {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    for name in options.names or PICTURES:
        picture, path = PICTURES[name](), options.out / f"{name}.webp"
        write(picture, path)
        print(f"{path}: {picture.width} x {picture.height} px, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
