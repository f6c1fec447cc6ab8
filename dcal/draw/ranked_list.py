"""A ranking as one image, for papers and messages: the query first, then the hits in order, with frames and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from dcal.draw.legend import font
from dcal.draw.montage import tile

RGB = UInt8[np.ndarray, "_ _ 3"]
SIDE = 192  # pixels of an image's place
FRAME, MARGIN, TEXT = 4, 12, 15  # pixels: a frame's width, the space around a place, the height of letters
COLUMNS = 6
FRAMES = {"match": (22, 163, 74), "wrong": (220, 38, 38), "junk": (150, 150, 150), "query": (24, 24, 27)}
DASH = 10  # pixels of a dash of what is wrong, so that colour is not alone in saying it


@dataclass(frozen=True, eq=False)
class Entry:
    """An image with what is written below it, line by line. `kind` is one of FRAMES, or "" for no frame."""

    image: RGB
    lines: tuple[str, ...]
    kind: str = ""


def ranked_list(queries: Sequence[Entry], hits: Sequence[Entry], title: str, columns: int = COLUMNS) -> RGB:
    """The queries' row, then the hits row by row, `columns` each, on white, under a title."""
    places = [*([queries] if queries else []), *(hits[i : i + columns] for i in range(0, len(hits), columns))]
    below = max(len(entry.lines) for row in places for entry in row) * (TEXT + 3)
    step = SIDE + 2 * FRAME + MARGIN, SIDE + 2 * FRAME + MARGIN + below
    head = 3 * TEXT
    size = MARGIN + max(columns, len(queries)) * step[0], head + len(places) * step[1]
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, font=font(TEXT + 2), fill="black")
    for row, entries in enumerate(places):
        for column, entry in enumerate(entries):
            place(sheet, pen, entry, MARGIN + column * step[0], head + row * step[1])
    return np.asarray(sheet)


def place(sheet: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, left: int, top: int) -> None:
    """One image in its place, its frame around that, its lines below."""
    canvas = Image.fromarray(tile(entry.image, SIDE))
    x, y = left + FRAME + (SIDE - canvas.width) // 2, top + FRAME + (SIDE - canvas.height) // 2
    sheet.paste(canvas, (x, y))
    if entry.kind:
        frame(pen, left, top, SIDE + 2 * FRAME, FRAMES[entry.kind], dashed=entry.kind == "wrong")
    for number, line in enumerate(entry.lines):
        pen.text((left, top + SIDE + 2 * FRAME + 3 + number * (TEXT + 3)), line, font=font(TEXT), fill="black")


def frame(pen: ImageDraw.ImageDraw, left: int, top: int, side: int, colour: tuple[int, int, int], dashed: bool) -> None:
    """A square frame, `FRAME` pixels wide inside `side`."""
    right, bottom = left + side - 1, top + side - 1
    pen.rectangle((left, top, right, bottom), outline=colour, width=FRAME)
    for start in range(DASH, side - DASH, 2 * DASH) if dashed else ():
        end = start + DASH - 1
        for box in (
            (left + start, top, left + end, top + FRAME - 1),
            (left + start, bottom - FRAME + 1, left + end, bottom),
            (left, top + start, left + FRAME - 1, top + end),
            (right - FRAME + 1, top + start, right, top + end),
        ):
            pen.rectangle(box, fill="white")
