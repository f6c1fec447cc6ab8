"""A stored record whose parts do not fit each other is refused by name; what fits is read."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dcal
from tests.fixtures.small import small_model

IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (43, 57, 3), dtype=np.uint8))


def inspected(ablation: str = "full", **options: Any) -> dcal.Inspection:
    return dcal.inspect(small_model("registers", ablation).float(), IMAGE, **options)


@pytest.fixture(scope="module")
def inspection() -> dcal.Inspection:
    return inspected(target=1)


def edited(inspection: dcal.Inspection, path: Path, meta: dict[str, Any] | None = None, **arrays: Any) -> Path:
    """The record's file with some fields replaced; None removes one."""
    inspection.to_npz(path)
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    values = {**json.loads(kept["meta"].tobytes()), **(meta or {})}
    kept["meta"] = np.frombuffer(json.dumps(values).encode(), dtype=np.uint8)
    kept.update(arrays)
    np.savez(path, **{name: value for name, value in kept.items() if value is not None})
    return path


@pytest.mark.parametrize("ablation", ["full", "sa_only"])
@pytest.mark.parametrize("target", [None, 3])
def test_what_was_written_is_read(ablation, target, tmp_path):
    written = inspected(ablation, target=target)
    found = dcal.Inspection.from_npz(written.to_npz(tmp_path / "a.npz"))
    for item in dataclasses.fields(written):
        np.testing.assert_equal(getattr(found, item.name), getattr(written, item.name), err_msg=item.name)


ARRAYS = {
    "queries": "queries has the shape",
    "keys": "keys has the shape",
    "final_tokens": "final_tokens has the shape",
    "rollout": "rollout has the shape",
    "view": "view has the shape",
    "sa_probabilities": "sa_probabilities has the shape",
    "probabilities": "probabilities has the shape",
    "glca_probabilities": "glca_probabilities has the shape",
    "glca_attention": "glca_attention has",
    "glca_input_map": "glca_input_map has the shape",
    "gradient_rollout": "gradient_rollout has the shape",
    "relevance": "relevance has the shape",
    "embedding": "embedding has",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_do_not_fit_each_other(name, inspection, tmp_path):
    """An array of another record: one row less along its last axis but one."""
    value = getattr(inspection, name)
    cut = value[..., :-1, :] if value.ndim > 1 else value[:-1]
    with pytest.raises(dcal.DCALError, match=rf"a\.npz is not a record.*{ARRAYS[name]}"):
        dcal.Inspection.from_npz(edited(inspection, tmp_path / "a.npz", **{name: cut}))


@pytest.mark.parametrize(
    ("meta", "arrays", "message"),
    [
        ({}, {"queries": lambda i: i.queries.astype(np.float64)}, "queries must be an array of float32, got float64"),
        ({}, {"rollout": lambda i: i.rollout * np.nan}, "rollout holds NaN"),
        ({}, {"keys": lambda i: None}, "keys"),
        ({}, {"relevance": lambda i: None}, "target, gradient_rollout and relevance must be there together"),
        ({}, {"selected": lambda i: i.selected + 6}, "selected must be distinct patches from 0 to 5"),
        ({}, {"selected": lambda i: i.selected[[0, 0, 0]]}, "selected must be distinct patches"),
        ({}, {"glca_input_map": lambda i: None}, r"of GLCA's fields \['glca_input_map'\] are absent"),
        ({}, {"image": lambda i: i.image}, "not a record"),
        ({"target": 5}, {}, "target must be a class from 0 to 4, got 5"),
        ({"target": True}, {}, "target must be a whole number"),
        ({"top_ratio": 1.5}, {}, r"\(0, 1\], got 1\.5"),
        ({"top_ratio": None}, {}, "top_ratio must be a finite number of at most .*got None"),
        ({"box": [0, 0, 58, 43]}, {}, "does not lie in an image of 43×57"),
        ({"box": [0, 0, 57]}, {}, "box must be a list of 4 values"),
        ({"box": [0, 0, "57", 43]}, {}, r"box\[2\] must be a finite number"),
        ({"layout": {"prefix": 3, "rows": 3, "cols": 2}}, {}, "grid of 3×2 patches does not divide"),
        ({"layout": {"prefix": 3, "rows": "2", "cols": 3}}, {}, "TokenLayout.rows must be a whole number"),
        ({"layout": {"prefix": 1, "rows": 2, "cols": 3}}, {}, r"n = 7"),
        ({"timings": {"read": "soon"}}, {}, r"timings\['read'\] must be a finite number"),
        ({"notes": [4]}, {}, r"notes\[0\] must be a string"),
        ({"fingerprint": 7}, {}, "fingerprint must be a string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "none",  # the same in every process
)
def test_what_contradicts_itself_is_named(meta, arrays, message, inspection, tmp_path):
    changes = {name: change(inspection) for name, change in arrays.items()}
    with pytest.raises(dcal.DCALError, match=message):
        dcal.Inspection.from_npz(edited(inspection, tmp_path / "a.npz", meta, **changes))


def test_every_damage_to_a_file_is_one_error(inspection, tmp_path):
    """Cut anywhere, and with bytes changed: a DCALError that names the file, or a record that fits."""
    whole = inspection.to_npz(tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(1)
    for index in range(60):
        data = bytearray(whole[: rng.integers(len(whole))] if index % 2 else whole)
        for place in rng.integers(len(data), size=3) if len(data) else []:
            data[place] = rng.integers(256)
        (tmp_path / "b.npz").write_bytes(data)
        try:
            dcal.Inspection.from_npz(tmp_path / "b.npz")
        except dcal.DCALError as error:
            assert "b.npz" in str(error)


def test_a_repr_is_one_line(inspection):
    assert repr(inspection).startswith("Inspection(small registers, full: image 43×57 px, 2×3 patches, 4 layers")
    assert "class maps of 'class 1'" in repr(inspection) and len(repr(inspection)) < 250
    model = small_model("registers")
    output = model(model.embed.__self__.backbone.cls_token.new_zeros(2, 3, 32, 48))
    assert "sa_logits=float64[2×5]" in repr(output) and "pwca" not in repr(output) and len(repr(output)) < 300
