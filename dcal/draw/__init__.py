"""Pictures of maps: numpy in, RGB uint8 out. The only place where maps become pictures."""

from dcal.draw.colour import COLORMAPS, DIVERGING, colour, difference, shared_scale
from dcal.draw.legend import bar, label, percent, under
from dcal.draw.overlay import mark, overlay, photo, selection
from dcal.draw.placement import MAX_SIDE, drawn_size, patch_at
from dcal.draw.sheet import beside, columns_for, figure, grid, png, strip, tile_at

__all__ = [
    "COLORMAPS",
    "DIVERGING",
    "MAX_SIDE",
    "bar",
    "beside",
    "colour",
    "columns_for",
    "difference",
    "drawn_size",
    "figure",
    "grid",
    "label",
    "mark",
    "overlay",
    "patch_at",
    "percent",
    "photo",
    "png",
    "selection",
    "shared_scale",
    "strip",
    "tile_at",
    "under",
]
