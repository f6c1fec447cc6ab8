"""What the view fetches: a layer's queries and keys, a token's rows, other rollouts, what only the model can tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dcal import DCAL, DCALError, Inspection, draw
from dcal.errors import check_choice
from dcal.explain.class_maps import class_maps, contrast
from dcal.explain.features import patch_colours, patch_features
from dcal.explain.tokens import token_sizes
from dcal_explorer.view.arrays import packed
from dcal_explorer.view.drawing import drawing
from dcal_explorer.view.measuring import Measurements
from dcal_explorer.view.payload import layer_attention

ModelOf = Callable[[str], AbstractContextManager[DCAL]]  # a record's key → its model, to be used inside the context
RECORDED = ("layer", "row", "rollout", "drawing")
COMPUTED = ("class", "contrast", "features", "colours", "sizes", "measure")


def answer(seen: Inspection, request: dict[str, Any]) -> dict[str, Any]:
    """What the view asked for, from the record alone. Raises DCALError for what is no request, or outside the record.

    {"kind": "layer", "layer": 3} → {"queries", "keys"}: (heads, tokens, d). {"kind": "row", "layer": 3, "token": 17} →
    {"rows"}: (heads, tokens). {"kind": "rollout", "fusion": "max", "start": 2, "token": 0, "discard": 0.5} →
    {"values"}: (layers, rows, cols), 0 below the start layer; all but the fusion may be missing.
    {"kind": "drawing", …}: see drawing.py.
    """
    kind = kind_of(request)
    check_choice("request", kind, RECORDED)
    if kind == "layer":
        return dict(layer_attention(seen, number(request, "layer")))
    if kind == "row":
        return {"rows": packed(seen.attention_rows(number(request, "layer"), number(request, "token")))}
    if kind == "drawing":
        return drawing(seen, request)
    fusion, discard = request.get("fusion"), request.get("discard", 0.0)
    if isinstance(discard, bool) or not isinstance(discard, int | float):
        raise DCALError(f"discard is a number, got {discard!r}")
    start = number(request, "start", 0)
    rolled = seen.rolled(
        fusion if isinstance(fusion, str) else repr(fusion), float(discard), start, number(request, "token", 0)
    )
    values = np.zeros_like(seen.rollout)
    values[start:] = rolled
    return {"values": packed(values)}


def computed(seen: Inspection, model: DCAL, request: dict[str, Any]) -> dict[str, Any]:
    """The arrays that take the record's model: {"values"}, and "words" about them. Raises DCALError as `answer`.

    {"kind": "class", "map": "relevance" or "gradient-rollout", "target": 3, "start": 2} and {"kind": "contrast",
    "target": 3, "rival": 5, "start": 0}: (rows, cols). {"kind": "features", "layer": 3}: (patches, width). {"kind":
    "colours", "layer": 3, "foreground": true}: (rows, cols, 3). {"kind": "sizes"}: (layers, rows, cols).
    """
    kind = kind_of(request)
    if kind == "class":
        found = class_maps(model, seen, number(request, "target"), number(request, "start", 0))
        maps = {"relevance": found.relevance, "gradient-rollout": found.gradient_rollout}
        map = request.get("map")
        chosen = maps[check_choice("map", map if isinstance(map, str) else repr(map), maps)]
        assert chosen is not None
        return {"values": packed(chosen)}
    if kind == "contrast":
        target, rival = number(request, "target"), number(request, "rival")
        return {"values": packed(contrast(model, seen, target, rival, start=number(request, "start", 0)).relevance)}
    if kind == "sizes":
        sizes = token_sizes(model, seen)[1:, seen.layout.prefix :]
        return {"values": packed(sizes.reshape(-1, seen.layout.rows, seen.layout.cols))}
    features = patch_features(model, seen, number(request, "layer"))
    if kind == "features":
        return {"values": packed(features)}
    grid = seen.layout.rows, seen.layout.cols
    (colours,) = patch_colours([features], [grid], drop_background=request.get("foreground") is True)
    return {
        "values": packed(colours.colours),
        "words": f"They hold {draw.percent(sum(colours.explained))} of the variance.",
    }


def answered(
    record_of: Callable[[str], Inspection],
    request: Any,
    model_of: ModelOf | None = None,
    measurements: Measurements | None = None,
) -> dict[str, Any]:
    """`answer` or `computed` for the record that the request names, or {"error": what to tell the visitor}.

    `record_of` gives the record kept under a key, or raises DCALError. `measurements` holds the faithfulness
    measurements under way (see measuring.py).
    """
    try:
        key = request.get("id") if isinstance(request, dict) else None
        if not isinstance(key, str):
            raise DCALError("a request names the record that it is about")
        seen = record_of(key)
        kind = kind_of(request)
        if kind not in COMPUTED or model_of is None:
            return answer(seen, request)
        with model_of(key) as model:
            if kind != "measure":
                return computed(seen, model, request)
            if measurements is None:
                raise DCALError("nothing is measured here")
            return measurements.answer(seen, model, request)
    except DCALError as error:
        return {"error": str(error)}


def kind_of(request: Any) -> str:
    if not isinstance(request, dict):
        raise DCALError(f"a request is an object, got {type(request).__name__}")
    kind = request.get("kind")
    return kind if isinstance(kind, str) else repr(kind)


def number(request: dict[str, Any], name: str, instead: int | None = None) -> int:
    value = request.get(name, instead)
    if type(value) is not int:
        raise DCALError(f"{name} is a whole number, got {value!r}")
    return value
