"""Exported models answer as the checkpoint does, for any number of images, and serve `predict` and `index`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import dcal
from dcal.errors import CheckpointError, DCALError
from dcal.model import export as module
from dcal.model.checkpoint import fingerprint, load_model, save_checkpoint
from dcal.model.embeddings import embed
from dcal.model.export import export
from dcal.model.exported import ExportedModel
from dcal.model.exported_backbone import ExportedBackbone
from dcal_explorer.cli.main import main
from tests.fixtures.kinds import kind_model
from tests.fixtures.small import SIZE
from tests.fixtures.tiny_sets import write_image


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(4)
    return dcal.create_model("test_vit", 5, task="reid", img_size=(48, 32), top_ratio=0.5).eval()


@pytest.fixture(scope="module")
def file(model: dcal.DCAL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model, tmp_path_factory.mktemp("exported") / "tiny.onnx", maps=True)


def test_it_answers_as_the_checkpoint(model: dcal.DCAL, file: Path):
    exported = ExportedModel(file, threads=1)
    assert exported.config == model.config and fingerprint(exported) == fingerprint(model)
    for count in (1, 2, 5):
        images = torch.randn(count, 3, 48, 32)
        with torch.inference_mode():
            output, rollout = model(images), model.rollouts(images)
        answers = exported(images)
        torch.testing.assert_close(answers.probabilities, output.probabilities, atol=1e-5, rtol=0)
        torch.testing.assert_close(answers.embedding, output.embedding, atol=1e-5, rtol=0)
        patches = rollout[:, :, model.layout.prefix :].unflatten(2, (3, 2))
        torch.testing.assert_close(answers.rollout, patches, atol=1e-6, rtol=0)
    with pytest.raises(DCALError, match=r"takes a batch of images \(b, \(3, 48, 32\)\)"):
        exported(torch.randn(1, 3, 32, 48))


def test_embeddings_come_branch_by_branch(model: dcal.DCAL, file: Path):
    batches = [torch.randn(3, 3, 48, 32), torch.randn(2, 3, 48, 32)]
    own, exported = embed(model, batches), embed(ExportedModel(file), batches)
    np.testing.assert_allclose(exported.sa, own.sa, atol=1e-5)
    np.testing.assert_allclose(exported.glca, own.glca, atol=1e-5)


def test_a_gallery_is_built_and_searched_by_it(
    model: dcal.DCAL, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Built by ONNX Runtime, searched by it and by the checkpoint: the weights are the same."""
    for seed in range(4):
        write_image(tmp_path / "images" / f"{seed}.jpg", 40 + seed, 30, seed)
    checkpoint, gallery = save_checkpoint(model, tmp_path / "checkpoint", dtype=torch.float32), tmp_path / "gallery"
    build = ["index", "build", str(tmp_path / "images"), "--out", str(gallery), "--workers", "0"]
    assert main([*build, "--checkpoint", str(file)]) == 0
    for name in (file, checkpoint):
        capsys.readouterr()
        search = ["index", "search", str(gallery), str(tmp_path / "images" / "2.jpg"), "--checkpoint", str(name)]
        assert main([*search, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["hits"][0]["path"] == "2.jpg"
    words = ["predict", str(tmp_path / "images"), "--checkpoint", str(file), "--gallery", str(gallery)]
    assert main([*words, "--top", "1", "--workers", "0"]) == 0
    assert "2.jpg 1.000" in capsys.readouterr().out


def test_a_graph_of_torch_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(4)
    model = dcal.create_model("test_vit", 3, ablation="sa_only", img_size=32).eval()
    checkpoint = save_checkpoint(model, tmp_path / "plain", dtype=torch.float32)
    assert main(["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "plain.pt2"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == ["probabilities", "embedding"]
    extra = {"dcal.config": "", "dcal.fingerprint": ""}
    graph = torch.export.load(tmp_path / "plain.pt2", extra_files=extra).module()
    images = torch.randn(4, 3, 32, 32)
    probabilities, embedding = graph(images)
    with torch.inference_mode():
        torch.testing.assert_close(probabilities, model(images).probabilities)
        torch.testing.assert_close(embedding, model(images).embedding)
    assert extra["dcal.fingerprint"] == fingerprint(model) and json.loads(extra["dcal.config"])["num_classes"] == 3


def test_a_bias_in_the_attention_is_part_of_the_graph(tmp_path: Path):
    """What is written has answered one image and three as the model does."""
    path = export(kind_model("beit, both biases").float(), tmp_path / "kind.onnx")
    assert ExportedModel(path)(torch.randn(2, 3, *SIZE)).probabilities.shape[0] == 2


def test_a_pooling_leaves_the_number_of_images_free():
    model = kind_model("attention pooling").float()
    graph = module.traced(module.answering(model, maps=True), module.sample(model, 2)).module()
    assert graph(torch.randn(3, 3, *SIZE))[0].shape[0] == 3


def test_what_answers_otherwise_is_not_written(model: dcal.DCAL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def wrong(*values: object) -> object:
        return lambda images: tuple(own + 0.01 for own in module.Answering(model, False)(images))

    monkeypatch.setattr(module, "write_graph", wrong)
    with pytest.raises(DCALError, match=r"its probabilities differ from the model's by 0\.0"):
        export(model, tmp_path / "x.pt2")
    assert list(tmp_path.iterdir()) == []


def test_mistakes(model: dcal.DCAL, file: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="export the checkpoint with --inspection"):
        ExportedBackbone(file)
    with pytest.raises(DCALError, match=r"must end in \.onnx"):
        export(model, tmp_path / "model.bin")
    with pytest.raises(DCALError, match="training mode"):
        export(dcal.create_model("test_vit", 2, img_size=32), tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="there is no file"):
        load_model(tmp_path / "nothing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"broken\.onnx cannot be run by ONNX Runtime"):
        load_model(tmp_path / "broken.onnx")
