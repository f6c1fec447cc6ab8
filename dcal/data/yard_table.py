"""The yard's table and the values of its masks: rendered vehicles that come with this package (tools/yard)."""

from __future__ import annotations

from pathlib import Path

from dcal.data.csv_reader import read_csv

HOME = Path(__file__).resolve().parent / "yard"  # the images come with this package
TABLE = "yard.csv"
COLUMNS = ("path", "mask", "identity", "camera", "split", "label", "twin", "differs", "present", "visible")
TERMS = "The yard: rendered by this repository's own code, under this repository's licence (MIT)."

MARK = (
    128  # added to a pixel's part where the twins differ: the part itself, or where the twin without it would have it
)

PARTS = (
    "background", "body", "bonnet", "roof", "front door", "rear door", "sliding door", "tailgate", "front bumper",
    "rear bumper", "windscreen", "side window", "rear window", "window frame", "headlamp", "tail lamp", "fog lamp",
    "grille", "intake", "badge", "plate", "mirror", "handle", "moulding", "cladding", "seam", "wiper", "exhaust",
    "tyre", "wheel", "wheel well", "underside", "interior", "bed", "load", "frame", "roof rack", "roof box", "aerial",
    "beacon", "spoiler", "bull bar", "lamp bar", "air unit", "decal", "dent", "scratch", "fuel flap",
)  # fmt: skip


def read_table(root: Path) -> list[dict[str, str]]:
    """The rows of yard.csv."""
    return [row for _, row in read_csv(root / TABLE, COLUMNS, ("train", "test"))]
