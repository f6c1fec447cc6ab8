"""Whether the parts of a stored record fit each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import numpy as np

from dcal.errors import DCALError
from dcal.model.ablation import BRANCHES
from dcal.model.config import check_ratio, checked

Sizes = dict[str, int]


def check_record(found: SimpleNamespace, hints: dict[str, Any]) -> None:
    """Raises DCALError, naming the field, if a record's fields, as read, contradict each other.

    `hints`: the fields' types. Checked: every array's type and shape against its annotation, equal letters being equal
    sizes throughout and those of the configuration; finite numbers; the range of indices and of the box; GLCA's fields
    all there or none. Plain fields become what their types say (a list of JSON a tuple).
    """
    if unknown := sorted(vars(found).keys() - hints.keys()):
        raise DCALError(f"it has unknown fields {unknown}")
    _check_plain(found, hints)
    config, layout = found.config, found.layout
    sizes = {
        **{"img_h": config.img_size[0], "img_w": config.img_size[1], "c": config.num_classes},
        **{"rows": layout.rows, "cols": layout.cols, "n": layout.prefix + layout.patches},
    }
    for name, hint in hints.items():
        options = get_args(hint) or (hint,)
        if hasattr(options[0], "dim_str"):
            _check_array(name, getattr(found, name), options[0], type(None) in options, sizes)
    _check_glca(found, sizes)
    _check_indices(found)


def _check_array(name: str, value: Any, hint: Any, optional: bool, sizes: Sizes) -> None:
    """`value` against a jaxtyping annotation; new letters are added to `sizes`."""
    if value is None and optional:
        return
    if not isinstance(value, np.ndarray) or value.dtype.name not in hint.dtypes:
        came = value.dtype.name if isinstance(value, np.ndarray) else type(value).__name__
        raise DCALError(f"{name} must be an array of {'/'.join(hint.dtypes)}, got {came}")
    letters = hint.dim_str.split()
    wanted = [int(letter) if letter.isdigit() else sizes.get(letter) for letter in letters]
    fits = len(letters) == value.ndim and value.size > 0
    if not fits or any(w not in (None, size) for w, size in zip(wanted, value.shape, strict=True)):
        expected = ", ".join(f"{a}" if w is None else f"{a} = {w}" for a, w in zip(letters, wanted, strict=True))
        raise DCALError(f"{name} has the shape {value.shape}, which does not fit the rest of the record: ({expected})")
    sizes.update({letter: size for letter, size in zip(letters, value.shape, strict=True) if not letter.isdigit()})
    if not np.isfinite(value).all():
        raise DCALError(f"{name} holds NaN or infinite values")


def _check_plain(found: SimpleNamespace, hints: dict[str, Any]) -> None:
    """The fields that are no arrays, and the grid against the input's size."""
    for name in ("box", "notes", "fingerprint", "top_ratio"):
        setattr(found, name, checked(name, getattr(found, name), hints[name]))
    if found.target is not None:
        checked("target", found.target, int)
    if not isinstance(found.timings, dict):
        raise DCALError(f"timings must be seconds by step, got {found.timings!r:.80}")
    found.timings = {step: checked(f"timings[{step!r}]", value, float) for step, value in found.timings.items()}
    check_ratio(found.top_ratio)
    if found.layout.names and len(found.layout.names) != found.layout.prefix:
        raise DCALError(f"layout.names has {len(found.layout.names)} names for {found.layout.prefix} prefix tokens")
    layout, size = found.layout, found.config.img_size
    if layout.prefix < 0 or min(layout.rows, layout.cols) < 1 or size[0] % layout.rows or size[1] % layout.cols:
        raise DCALError(f"a grid of {layout.rows}×{layout.cols} patches does not divide an input of {size} pixels")


def _check_glca(found: SimpleNamespace, sizes: Sizes) -> None:
    fields = ("glca_probabilities", "selected", "glca_attention", "glca_input_map")
    absent = [name for name in fields if getattr(found, name) is None]
    wanted = "glca" in found.config.branches
    if absent != ([] if wanted else list(fields)):
        raise DCALError(
            f"the ablation is {found.config.ablation!r}, but of GLCA's fields {absent or 'none'} are absent"
        )
    further = [name for name in found.config.branches if name in BRANCHES and not BRANCHES[name].trained_only]
    if (found.more_probabilities is None) != (not further) or sizes.get("x", len(further)) != len(further):
        raise DCALError(f"more_probabilities must have a row for each of {further or 'no further branches'}")
    width = sizes["e"] // (1 + wanted + len(further))
    if width != sizes["width"] or sizes["e"] % width:
        raise DCALError(f"embedding has {sizes['e']} numbers for tokens of width {sizes['width']}")
    if wanted and sizes["k_and_class"] != sizes["k"] + 1:
        raise DCALError(f"glca_attention has {sizes['k_and_class']} queries for {sizes['k']} selected patches")


def _check_indices(found: SimpleNamespace) -> None:
    patches, (height, width) = found.layout.patches, found.image.shape[:2]
    index, tables = found.bias_index, found.bias_tables
    if (index is None) != (tables is None):
        raise DCALError("bias_tables and bias_index must be there together or not at all")
    if index is not None and (index.min() < 0 or index.max() >= tables.shape[1]):
        raise DCALError(f"bias_index must hold rows of bias_tables, from 0 to {tables.shape[1] - 1}")
    if found.pooled is None and found.layout.prefix == 0:
        raise DCALError("pooled must be there where there is no class token")
    chosen = found.selected
    if chosen is not None and (chosen.min() < 0 or chosen.max() >= patches or len(np.unique(chosen)) < len(chosen)):
        raise DCALError(f"selected must be distinct patches from 0 to {patches - 1}")
    maps = [found.gradient_rollout is None, found.relevance is None]
    if maps != [found.target is None] * 2:
        raise DCALError("target, gradient_rollout and relevance must be there together or not at all")
    if found.target is not None and not 0 <= found.target < found.config.num_classes:
        raise DCALError(f"target must be a class from 0 to {found.config.num_classes - 1}, got {found.target}")
    left, top, right, bottom = found.box
    slack = 1e-6 * max(height, width)
    if not (-slack <= left < right <= width + slack and -slack <= top < bottom <= height + slack):
        raise DCALError(f"box {found.box} does not lie in an image of {height}×{width} pixels")
