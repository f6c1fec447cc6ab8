"""An inspection by ONNX Runtime is the one by PyTorch, whatever the backbone; what does not fit is refused."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dcal
from dcal.errors import CheckpointError, DCALError
from dcal.explain.inspect import inspect_prepared, prepare
from dcal.model.checkpoint import save_checkpoint
from dcal.model.export import export
from dcal.model.exported import ExportedModel
from dcal.model.exported_backbone import ExportedBackbone, encoded
from dcal_explorer.cli.main import main
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.models import Models
from dcal_explorer.demo.program import library, parse
from tests.fixtures.kinds import kind_model
from tests.fixtures.tiny_sets import write_image

SIZE = (48, 32)


def tiny(seed: int = 4, **options: Any) -> dcal.DCAL:
    torch.manual_seed(seed)
    return dcal.create_model("test_vit", 5, img_size=SIZE, top_ratio=0.5, **options).eval()


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return tiny()


@pytest.fixture(scope="module")
def checkpoint(model: dcal.DCAL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(model, tmp_path_factory.mktemp("checkpoints") / "tiny", dtype=torch.float32)


@pytest.fixture(scope="module")
def file(checkpoint: Path) -> Path:
    path = checkpoint.parent.parent / "tiny.onnx"
    assert main(["export", "--checkpoint", str(checkpoint), "--out", str(path), "--inspection"]) == 0
    return path


def assert_alike(own: dcal.Inspection, other: dcal.Inspection) -> None:
    """Every array within 1e-5 of the other's, relative to the largest value; the same patches selected."""
    for field in dataclasses.fields(own):
        expected, found = getattr(own, field.name), getattr(other, field.name)
        if isinstance(expected, np.ndarray):
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale, err_msg=field.name)
        elif field.name != "timings":
            assert found == expected, field.name


def assert_engines_agree(model: dcal.DCAL, exported: ExportedBackbone) -> None:
    """On one image and on three; the records by either engine are selected from anew alike."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 60, 50, 3), dtype=np.uint8)
    for count in (1, 3):
        images = [prepare(model.config, image) for image in pixels[:count]]
        by_pytorch, by_file = (inspect_prepared(model, images, 0.4, encoder) for encoder in (encoded, exported))
        for own, other in zip(by_pytorch, by_file, strict=True):
            assert_alike(own, other)
    if model.glca is not None:
        assert_alike(dcal.reselect(model, own, 0.7), dcal.reselect(model, other, 0.7))


def test_every_map_is_that_of_pytorch(model: dcal.DCAL, file: Path):
    assert_engines_agree(model, ExportedBackbone(file, threads=1))


def test_so_it_is_with_pooled_tokens_and_one_layer(tmp_path: Path):
    """Relative positions are a bias in the attention, tokens are pooled, and one layer has no head-means."""
    model = kind_model("relative").float()
    model.backbone.blocks = model.backbone.blocks[:1]
    assert_engines_agree(model, ExportedBackbone(export(model, tmp_path / "model.onnx", inspection=True)))


def test_the_demo_inspects_by_the_file(
    checkpoint: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    write_image(tmp_path / "image.png", 60, 50, 1)
    save_checkpoint(tiny(seed=5), checkpoint.parent / "another", dtype=torch.float32)
    offered = library(parse(["--checkpoints", str(checkpoint.parent), "--onnx", str(file)]))
    assert capsys.readouterr().out == f"tiny is inspected by ONNX Runtime with {file}\n"
    passes: list[int] = []
    run = ExportedBackbone.__call__

    def counted(self: ExportedBackbone, model: dcal.DCAL, images: torch.Tensor) -> object:
        passes.append(len(images))
        return run(self, model, images)

    monkeypatch.setattr(ExportedBackbone, "__call__", counted)
    for name, expected in (("tiny", [1]), ("another", [1])):  # PyTorch runs the other checkpoint
        found = Models(offered).inspect(name, tmp_path / "image.png")
        assert_alike(dcal.inspect(offered.model(name), tmp_path / "image.png"), found)
        assert passes == expected


def test_files_that_do_not_fit_are_refused(model: dcal.DCAL, checkpoint: Path, file: Path, tmp_path: Path):
    exported, other = ExportedBackbone(file), tiny(seed=6)
    with pytest.raises(CheckpointError, match="was exported from another checkpoint"):
        exported(other, torch.zeros(1, 3, *SIZE))
    with pytest.raises(DCALError, match=r"takes a batch of images \(b, \(3, 48, 32\)\), got \(1, 3, 32, 48\)"):
        exported(model, torch.zeros(1, 3, 32, 48))
    save_checkpoint(other, tmp_path / "models" / "other")
    with pytest.raises(CheckpointError, match=r"not offered here: its weights are [0-9a-f]{12}, those below .* other "):
        CheckpointLibrary(tmp_path / "models", [file])
    with pytest.raises(CheckpointError, match="no answers: export the checkpoint without it"):
        ExportedModel(file)
    with pytest.raises(DCALError, match="a --backbone is none"):
        library(parse(["--backbone", "test_vit", "--onnx", str(file)]))


def test_options_that_do_not_fit_are_refused(model: dcal.DCAL, tmp_path: Path):
    with pytest.raises(DCALError, match=r"as ONNX alone, to a name that ends in \.onnx"):
        export(model, tmp_path / "x.pt2", inspection=True)
    with pytest.raises(DCALError, match="choose one"):
        export(model, tmp_path / "x.onnx", maps=True, inspection=True)


def test_without_onnx_runtime_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DCALError, match=r'onnxruntime is not installed: pip install "dcal\[onnx\]"'):
        ExportedBackbone(file)
