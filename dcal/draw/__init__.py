"""Images of maps: numpy in, RGB uint8 out. The only place where maps become images."""

from dcal.draw.colour import COLORMAPS, DIVERGING, colour, difference, is_flat, shared_scale
from dcal.draw.layout import MAX_SIDE, drawn_size, patch_at, patch_centre, patch_under, place_of
from dcal.draw.legend import bar, caption, decimal, label, numbers_bar, percent, under
from dcal.draw.montage import beside, columns_for, figure, grid, jpeg, png, strip, tile, tile_at, webp
from dcal.draw.overlay import base_image, mark, overlay, patches, selection, surround
from dcal.draw.pair import LINKS, PAIR_SIDE, PARTNERS, evidence_scale, pair, partners, patch_on_pair
from dcal.draw.ranked_list import Entry, ranked_list
from dcal.draw.regions import annotated, region_colour, regions

__all__ = [
    "COLORMAPS",
    "DIVERGING",
    "LINKS",
    "MAX_SIDE",
    "PAIR_SIDE",
    "PARTNERS",
    "Entry",
    "annotated",
    "bar",
    "base_image",
    "beside",
    "caption",
    "colour",
    "columns_for",
    "decimal",
    "difference",
    "drawn_size",
    "evidence_scale",
    "figure",
    "grid",
    "is_flat",
    "jpeg",
    "label",
    "mark",
    "numbers_bar",
    "overlay",
    "pair",
    "partners",
    "patch_at",
    "patch_centre",
    "patch_on_pair",
    "patch_under",
    "patches",
    "percent",
    "place_of",
    "png",
    "ranked_list",
    "region_colour",
    "regions",
    "selection",
    "shared_scale",
    "strip",
    "surround",
    "tile",
    "tile_at",
    "under",
    "webp",
]
