"""A record as the view takes it: the image once, maps as small arrays, a layer's queries and keys when first needed.

A head's attention follows from queries and keys, 2·n·width numbers a layer where the maps are heads·n²: less, exact to
float32, and every fusion of heads comes along. Above `LARGEST_LAYER` bytes single rows are sent on request instead.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from dcal import DCALError, Inspection, draw
from dcal.draw.colour import table
from dcal.explain.inspection import within
from dcal.model.kinds import TokenLayout
from dcal.model.rollout import FUSIONS
from dcal_explorer.view.arrays import Packed, packed
from dcal_explorer.view.maps import Rival, ViewMap, maps_of

FORMAT = 1
LARGEST_LAYER = 6 * 2**20  # bytes of queries and keys
MOST_FUSED = 400  # tokens up to which the rollouts of the other fusions are sent at once
MAX_SIDE = 1024  # pixels of the image's longer side
QUALITY = 90


def payload(
    seen: Inspection,
    key: str = "",
    title: str = "the image",
    class_name: str | None = None,
    group: str | None = None,
    inline: Iterable[int] = (),
    lossless: bool = False,
    scales: dict[str, tuple[float, float]] | None = None,
    extra: Iterable[ViewMap] = (),
    rival: Rival | None = None,
    has_model: bool = False,
    scores: Mapping[str, str] | None = None,
    caption: str = "",
    state: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record for the view, ready for JSON.

    `key` comes back with every request. Views of one `group` (default: of one image) outline the same patch. `inline`
    layers are part of the payload, for views without a server. `scales` overrides maps' scales by their keys: for views
    that are to be compared. `extra` maps get tabs of their own behind the record's. `has_model`: whoever answers has
    the record's model, so that features, token sizes, the contrast with `rival` and the faithfulness of a map can be
    had. `scores`: what maps, by their keys, are worth on test images, in a sentence. `caption` stands on downloads
    before the title. `state`: what is chosen at first (see state.js; the view checks it), if not what was before.
    """
    fusions = tuple(fusion for fusion in FUSIONS if fusion != "mean") if tokens(seen) <= MOST_FUSED else ()
    maps = [*maps_of(seen, fusions, class_name, rival, has_model), *extra]
    if len({map.key for map in maps}) < len(maps):
        raise DCALError(f"two maps have one key: {', '.join(map.key for map in maps)}")
    unknown = set(scales or {}) - {map.key for map in maps}
    if unknown:
        raise DCALError(f"there are scales for maps that this record has not: {', '.join(sorted(unknown))}")
    tables = {name: table(name).tobytes() for name in (*draw.COLORMAPS, draw.DIVERGING)}
    return {
        "format": FORMAT,
        "id": key,
        "group": image_key(seen) if group is None else group,
        "title": title,
        "caption": caption,
        "state": None if state is None else dict(state),
        "image": image(seen, lossless),
        "extent": [seen.image.shape[1], seen.image.shape[0]],
        "box": [float(edge) for edge in seen.box],
        "rows": seen.layout.rows,
        "cols": seen.layout.cols,
        "layers": seen.num_layers,
        "heads": seen.num_heads,
        "prefix": prefix_names(seen.layout, seen.config.backbone),
        "maps": [
            described(map, (scales or {}).get(map.key, map.scale), (scores or {}).get(map.key, "")) for map in maps
        ],
        "measures": has_model,
        "selected": None if seen.selected is None else [int(patch) for patch in seen.selected],
        "attention": {
            "mode": "layers" if layer_bytes(seen) <= LARGEST_LAYER else "rows",
            "dimension": seen.score_width,
            "inline": {str(layer): layer_attention(seen, layer) for layer in inline},
        },
        "colours": {name: base64.b64encode(colours).decode() for name, colours in tables.items()},
        "diverging": draw.DIVERGING,
    }


def layer_attention(seen: Inspection, layer: int) -> dict[str, Packed]:
    """A layer's queries and keys, from which the browser computes any token's attention in any head."""
    layer = within("layer", layer, seen.num_layers)
    queries, keys = seen.scoring(layer)
    return {"queries": packed(queries), "keys": packed(keys)}


def tokens(seen: Inspection) -> int:
    return seen.layout.prefix + seen.layout.patches


def layer_bytes(seen: Inspection) -> int:
    """Bytes of one layer's queries and keys."""
    return 2 * seen.queries[0, :, :, 0].nbytes * seen.score_width


def image_key(seen: Inspection) -> str:
    """The same for records of the same pixels."""
    return hashlib.sha256(seen.image.tobytes()).hexdigest()[:16]


def prefix_names(layout: TokenLayout, backbone: str) -> list[str]:
    """What the prefix tokens are called: the class token, DeiT's distillation token, registers.

    A record that does not say has registers behind its class token, or a distilled model's other token.
    """
    distilled = layout.prefix == 2 and "distilled" in backbone
    known = ("class", *(["distillation"] if distilled else [f"register {n}" for n in range(1, layout.prefix)]))
    names = layout.names or known[: layout.prefix]
    return [f"{name} token" if name in ("class", "distillation") else name for name in names]


def image(seen: Inspection, lossless: bool) -> dict[str, Any]:
    """The image as a data address, its longer side at most `MAX_SIDE` pixels: never enlarged, the browser does that."""
    height, width = seen.image.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = seen.image if scale == 1 else cv2.resize(seen.image, size, interpolation=cv2.INTER_AREA)
    kind, data = ("png", draw.png(pixels)) if lossless else ("webp", draw.webp(pixels, QUALITY))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return {"src": source, "width": size[0], "height": size[1]}


def described(map: ViewMap, scale: tuple[float, float] | None, score: str = "") -> dict[str, Any]:
    """A map as JSON holds it."""
    fields = (
        *("key", "tab", "kind", "title", "about", "quantity", "unit", "branch", "layered", "fused", "diverging"),
        *("form", "starts", "by_layer"),
    )
    values = {fusion: packed(np.asarray(array)) for fusion, array in map.values.items()}
    return {
        **{name: getattr(map, name) for name in fields},
        "scale": None if scale is None else [float(end) for end in scale],
        "source": dict(map.source) or None,
        "score": score,
        "values": values,
    }
