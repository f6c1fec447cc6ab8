"""What the view fetches: a layer's queries and keys, one token's rows, a rollout under another fusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dcal import DCALError, Inspection
from dcal.errors import check_choice
from dcal_explorer.view.arrays import packed
from dcal_explorer.view.payload import layer_attention

KINDS = ("layer", "row", "rollout")


def answer(seen: Inspection, request: dict[str, Any]) -> dict[str, Any]:
    """The arrays that the view asked for. Raises DCALError for a request that is none, or outside the model.

    {"kind": "layer", "layer": 3} → {"queries", "keys"}: (heads, tokens, d). {"kind": "row", "layer": 3, "token": 17} →
    {"rows"}: (heads, tokens). {"kind": "rollout", "fusion": "max"} → {"values"}: (layers, rows, cols).
    """
    if not isinstance(request, dict):
        raise DCALError(f"a request is an object, got {type(request).__name__}")
    kind = request.get("kind")
    check_choice("request", kind if isinstance(kind, str) else repr(kind), KINDS)
    if kind == "layer":
        return dict(layer_attention(seen, number(request, "layer")))
    if kind == "row":
        return {"rows": packed(seen.attention_rows(number(request, "layer"), number(request, "token")))}
    fusion = request.get("fusion")
    return {"values": packed(seen.rolled(fusion if isinstance(fusion, str) else repr(fusion)))}


def answered(record_of: Callable[[str], Inspection], request: Any) -> dict[str, Any]:
    """`answer` for the record that the request names, or {"error": what to tell the visitor}.

    `record_of` gives the record kept under a key, or raises DCALError.
    """
    try:
        key = request.get("id") if isinstance(request, dict) else None
        if not isinstance(key, str):
            raise DCALError("a request names the record that it is about")
        return answer(record_of(key), request)
    except DCALError as error:
        return {"error": str(error)}


def number(request: dict[str, Any], name: str) -> int:
    value = request.get(name)
    if type(value) is not int:
        raise DCALError(f"{name} is a whole number, got {value!r}")
    return value
