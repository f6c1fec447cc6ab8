"""Arrays on their way to the browser and back: float32, little-endian, as base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypedDict

import numpy as np

from dcal import DCALError


class Packed(TypedDict):
    """An array as JSON holds it."""

    dtype: str  # always "float32"
    shape: list[int]
    data: str  # base64


def packed(array: np.ndarray) -> Packed:
    """The array for the browser. Raises DCALError if it is not float32, or holds values that are not finite."""
    if array.dtype != np.float32:
        raise DCALError(f"the view takes float32, not {array.dtype}: nothing is rounded on the way without being seen")
    if not np.isfinite(array).all():
        raise DCALError(f"{np.count_nonzero(~np.isfinite(array))} of {array.size} values are not finite")
    little = np.ascontiguousarray(array, dtype="<f4")
    return {"dtype": "float32", "shape": list(array.shape), "data": base64.b64encode(little.tobytes()).decode()}


def unpacked(array: Any) -> np.ndarray:
    """The numbers of a packed array. Raises DCALError for anything else."""
    try:
        shape = [int(length) for length in array["shape"]]
        return np.frombuffer(base64.b64decode(array["data"], validate=True), dtype="<f4").reshape(shape)
    except (TypeError, KeyError, ValueError, binascii.Error) as error:
        raise DCALError("this map is no array of float32") from error
