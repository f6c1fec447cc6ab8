"""Short representations of dataclasses that hold arrays: shapes and types instead of numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from torch import Tensor


def describe(item: Any) -> str:
    """A dataclass with every array as its type and shape, and fields that are None left out: its `__repr__`."""
    fields = ((field.name, getattr(item, field.name)) for field in dataclasses.fields(item))
    parts = (f"{name}={_value(value)}" for name, value in fields if value is not None)
    return f"{type(item).__name__}({', '.join(parts)})"


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray | Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype}[{'×'.join(map(str, value.shape))}]"
    return repr(value)
