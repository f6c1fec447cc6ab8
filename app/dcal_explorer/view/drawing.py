"""The panes on screen as one PNG file: drawn by dcal.draw, large and lossless, with a caption."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from dcal import DCALError, Inspection, draw
from dcal.errors import check_choice
from dcal_explorer.view.arrays import unpacked

SIDE = 1024  # pixels of each pane's longer side
LETTERS = 20  # pixels, of the captions
MOST_LINES, MOST_LETTERS = 8, 400


def drawing(seen: Inspection, request: dict[str, Any]) -> dict[str, Any]:
    """{"png": base64} of the panes that the view describes. Raises DCALError for what is no description of one.

    {"kind": "drawing", "panes": [{"values", "low", "high", "unit", "colours", "marked", "words"}], "opacity", "smooth",
    "words"}: `values` is packed, (rows, cols), or (rows, cols, 3) of patches with colours of their own; `marked` a
    patch or null; `unit` is the view's.
    """
    panes = request.get("panes")
    if not isinstance(panes, list) or not 1 <= len(panes) <= 2 or not all(isinstance(pane, dict) for pane in panes):
        raise DCALError("a drawing has one or two panes")
    opacity, smooth = finite(request.get("opacity")), request.get("smooth") is True
    drawn = [drawn_pane(seen, pane, opacity, smooth) for pane in panes]
    tallest = max(len(one) for one in drawn)
    drawn = [np.pad(one, ((0, tallest - len(one)), (0, 0), (0, 0)), constant_values=255) for one in drawn]
    sheet = draw.beside(drawn)
    sheet = draw.under(sheet, draw.caption(sheet.shape[1], lines(request.get("words")), size=LETTERS))
    return {"png": base64.b64encode(draw.png(sheet)).decode()}


def drawn_pane(seen: Inspection, pane: dict[str, Any], opacity: float, smooth: bool) -> np.ndarray:
    """One pane: the map over the image, its colour bar, its words."""
    values, grid = unpacked(pane.get("values")), (seen.layout.rows, seen.layout.cols)
    if values.shape not in (grid, (*grid, 3)) or not np.isfinite(values).all():
        raise DCALError(f"the map must be {grid[0]}×{grid[1]} finite numbers, got {values.shape}")
    bars = []
    if values.ndim == 3:
        image = draw.patches(seen, values, opacity, max_side=SIDE)
    elif pane.get("unit") == "mask":
        image = draw.selection(seen, values > 0.5, max_side=SIDE)
    else:
        low, high = finite(pane.get("low")), finite(pane.get("high"))
        colours = check_choice("colour map", str(pane.get("colours")), (*draw.COLORMAPS, draw.DIVERGING))
        image = draw.overlay(seen, values, opacity, colours, low, high, smooth, max_side=SIDE)
        legend = draw.bar if pane.get("unit") == "share" else draw.numbers_bar
        bars.append(legend(image.shape[1], low, high, colours))
    marked = pane.get("marked")
    if type(marked) is int and 0 <= marked < seen.layout.patches:
        image = draw.mark(seen, image, *divmod(marked, seen.layout.cols))
    return draw.under(image, *bars, draw.caption(image.shape[1], lines(pane.get("words")), size=LETTERS))


def lines(words: Any) -> list[str]:
    """Lines of a caption, not too many and not too long."""
    if not isinstance(words, list) or len(words) > MOST_LINES or not all(isinstance(line, str) for line in words):
        raise DCALError(f"words are up to {MOST_LINES} lines of text")
    return [line[:MOST_LETTERS] for line in words]


def finite(number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
        raise DCALError(f"a finite number is needed, got {number!r}")
    return float(number)
