"""Words and numbers in images: labels, and the colour bar that says what a colour is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from dcal.draw.colour import table

RGB = UInt8[np.ndarray, "height width 3"]
AnyRGB = UInt8[np.ndarray, "_ _ 3"]  # where several sizes meet in one signature
UNITS = ((1e-2, 1.0, ""), (1e-3, 1e3, "thousandths"), (1e-6, 1e6, "millionths"), (0.0, 1e9, "billionths"))
ENDS = 0.11  # share of the bar's width that each plain end takes, to carry its number


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's bundled font, so that images are the same everywhere."""
    return ImageFont.load_default(size)


def label(canvas: RGB, text: str, size: int | None = None) -> RGB:
    """`canvas` with a small dark plate in its upper left corner that carries `text`, `size` pixels high.

    The plate takes at most about half of a low image's height.
    """
    size = max(12, round(max(canvas.shape[:2]) / 15)) if size is None else size
    size = max(8, min(size, canvas.shape[0] // 3))
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image, "RGBA")
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font(size), anchor="lt")
    margin = size // 3
    draw.rectangle((0, 0, right - left + 2 * margin, bottom - top + 2 * margin), fill=(0, 0, 0, 175))
    draw.text((margin, margin), text, font=font(size), fill="white", anchor="lt")
    return np.asarray(image)


def percent(fraction: float) -> str:
    """A fraction in percent, with three significant digits and four decimals at most: "8.07%", "<0.0001%"."""
    value = round(float(f"{100 * fraction:.3g}"), 4)
    if fraction and not value:
        return "<0.0001%" if fraction > 0 else ">-0.0001%"
    return f"{np.format_float_positional(value, trim='-')}%"


def decimal(number: float) -> str:
    """A number with two significant digits: a share of a similarity, say, which is no percentage."""
    return np.format_float_positional(number, precision=2, fractional=False, trim="-")


def bar(
    width: int,
    low: float,
    high: float,
    colormap: str = "viridis",
    height: int | None = None,
    write: Callable[[float], str] = percent,
    title: str = "",
) -> RGB:
    """A colour bar, `width` pixels wide: `low` to `high`, both written into it by `write`, `title` in its middle."""
    height = max(30, width // 22) if height is None else height
    plain = round(ENDS * width)
    ramp = np.clip((np.arange(width) - plain) / max(1, width - 2 * plain - 1), 0, 1)
    colours = table(colormap)[np.rint(ramp * 255).astype(int)]
    image = Image.fromarray(np.repeat(colours[None], height, axis=0))
    draw, size = ImageDraw.Draw(image), max(4, round(min(0.6 * height, width / 14)))
    for value, x, anchor, ground in (
        (low, 0.35 * height, "lm", colours[0]),
        (high, width - 0.35 * height, "rm", colours[-1]),
    ):
        draw.text((x, height / 2), write(value), font=font(size), fill=_legible(ground), anchor=anchor)
    place, edge = (width / 2, height / 2), max(1, size // 10)
    draw.text(place, title, font=font(size), fill="white", anchor="mm", stroke_width=edge, stroke_fill="black")
    return np.asarray(image)


def numbers_bar(width: int, low: float, high: float, colormap: str = "viridis", title: str = "") -> RGB:
    """A colour bar of numbers that are no shares; tiny ones in a unit that the title names: "relevance, in millionths".

    The ends are written no finer than a hundredth of the larger one's first digit.
    """
    most = max(abs(low), abs(high))
    factor, unit = (
        next((factor, unit) for least, factor, unit in UNITS if most >= least or not least) if most else (1, "")
    )
    decimals = max(0, 2 - math.floor(math.log10(most * factor))) if most else 0

    def write(number: float) -> str:
        return decimal(round(number * factor, decimals) + 0.0)

    return bar(width, low, high, colormap, write=write, title=", in ".join(filter(None, (title, unit))))


def caption(width: int, lines: Sequence[str], size: int | None = None) -> RGB:
    """Lines of text, dark on white, `width` pixels wide; long lines are broken between words."""
    size = max(12, round(width / 55)) if size is None else size
    margin, step, style = size // 2, round(1.35 * size), font(size)
    broken = [part for line in lines for part in _broken(line, width - 2 * margin, size)]
    image = Image.new("RGB", (width, step * len(broken) + 2 * margin), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(broken):
        draw.text((margin, margin + number * step), line, font=style, fill=(27, 35, 48))
    return np.asarray(image)


def _broken(line: str, width: int, size: int) -> list[str]:
    """A line in as many pieces as fit `width`, broken between words."""
    parts, style = [""], font(size)
    for word in line.split():
        longer = f"{parts[-1]} {word}".strip()
        if parts[-1] and style.getlength(longer) > width:
            parts.append(word)
        else:
            parts[-1] = longer
    return parts


def under(canvas: AnyRGB, *others: AnyRGB) -> AnyRGB:
    """`canvas` with others below it (its colour bar, say), each scaled to its width."""
    return np.concatenate([canvas, *(_as_wide(other, canvas.shape[1]) for other in others)])


def _as_wide(canvas: AnyRGB, width: int) -> AnyRGB:
    if canvas.shape[1] == width:
        return canvas
    height = max(1, round(canvas.shape[0] * width / canvas.shape[1]))
    shrinks = width < canvas.shape[1]
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _legible(ground: UInt8[np.ndarray, " 3"]) -> str:
    """Black or white, whichever is read more easily on `ground`."""
    luminance = ground @ np.array([0.299, 0.587, 0.114])
    return "black" if luminance > 140 else "white"
