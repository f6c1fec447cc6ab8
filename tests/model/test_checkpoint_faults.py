"""Checkpoints that are damaged or hostile, and callers in inference mode: clear errors, nothing large allocated."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import dcal
from tests.fixtures.oracles import randomise

SIZE = (32, 48)
IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (43, 57, 3), dtype=np.uint8))


@pytest.fixture
def saved(tmp_path) -> Path:
    preprocess = dcal.Preprocess(SIZE, crop_fraction=0.9)
    model = dcal.create_model("test_vit", 3, img_size=SIZE, classes=("a", "b", "c"), preprocess=preprocess)
    randomise(model)
    return dcal.save(model, tmp_path / "mine")


def edit(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


# -- inference mode --


def test_a_checkpoint_loaded_in_inference_mode_is_an_ordinary_model(saved):
    wanted = dcal.load(saved)
    with torch.inference_mode():
        model = dcal.load(saved)
        assert dcal.fingerprint(model) == dcal.fingerprint(wanted)
    assert not any(parameter.is_inference() for parameter in model.parameters())
    model(torch.randn(2, 3, *SIZE)).sa_logits.sum().backward()
    assert model.backbone.cls_token.grad is not None


def test_so_is_a_new_one(saved):
    with torch.inference_mode():
        model = dcal.create_model("test_vit", 3, img_size=SIZE)
    model(torch.randn(2, 3, *SIZE)).sa_logits.sum().backward()


def test_everything_that_reads_a_model_works_in_inference_mode(saved, tmp_path):
    model = dcal.load(saved)
    wanted = dcal.inspect(model, IMAGE, target="b")
    with torch.inference_mode():
        found = dcal.inspect(model, IMAGE, target="b")
        dcal.reselect(model, found, 0.5)
        halved = dcal.load(saved).half()  # new tensors of that mode, which have no version
        assert dcal.fingerprint(halved) == dcal.fingerprint(model)
        dcal.save(halved, tmp_path / "half")
    for name in ("relevance", "gradient_rollout", "rollout", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


# -- weights --


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["backbone.norm.bias", "glca.block.attn.qkv.weight"])
def test_weights_that_are_not_finite_are_refused(name, value, saved):
    path = saved / "model.safetensors"
    tensors = load_file(path)
    tensors[name].view(-1)[5] = value
    save_file(tensors, path)
    with pytest.raises(dcal.CheckpointError, match=rf"model\.safetensors holds NaN.* in 1 tensors \({name}: 1\)"):
        dcal.load(saved)


def test_such_weights_are_not_written_either(saved):
    """Half precision ends at 65504: what is larger would be stored as infinity."""
    before, model = (saved / "model.safetensors").read_bytes(), dcal.load(saved)
    with torch.no_grad():
        model.backbone.norm.bias[2] = 70000.0
    with pytest.raises(dcal.CheckpointError, match=r"stored as float16, holds NaN or inf.*backbone\.norm\.bias: 1"):
        dcal.save(model, saved)
    assert (saved / "model.safetensors").read_bytes() == before
    assert dcal.load(dcal.save(model, saved, dtype=torch.float32)).backbone.norm.bias[2] == 70000.0


def test_pretrained_weights_that_are_not_finite_are_refused(tmp_path):
    model = dcal.create_model("test_vit", 3, img_size=SIZE, ablation="sa_only")
    tensors = model.backbone.state_dict()
    tensors["cls_token"][0, 0, 1] = torch.nan
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(dcal.CheckpointError, match=r"weights\.safetensors holds NaN.*cls_token: 1"):
        dcal.create_model("test_vit", 3, img_size=SIZE, pretrained=tmp_path / "weights.safetensors")


@pytest.mark.parametrize("std", [[0.2, 0, 0.2], [0.2, -1, 0.2], [0.2, 0.2], [float("nan")] * 3])
def test_a_deviation_that_is_none_is_refused(std, saved):
    edit(saved, preprocess={**json.loads((saved / "config.json").read_text())["preprocess"], "std": std})
    with pytest.raises(dcal.CheckpointError, match=r"std"):
        dcal.load(saved)


# -- a giant --


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 10**8, "classes": []},
        {"num_classes": 10**8, "classes": [], "task": "reid"},
        {"backbone": "vit_giant_patch14_dinov2", "img_size": [28, 28]},
        {"img_size": [32 * 10**4, 48 * 10**4]},
    ],
    ids=["classes", "identities", "backbone", "image"],
)
def test_a_configuration_that_names_a_giant_costs_no_memory(changes, saved):
    if "img_size" in changes:
        changes = {**changes, "preprocess": {"size": changes["img_size"]}}
    edit(saved, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(dcal.CheckpointError, match="does not fit its config"):
        dcal.load(saved)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"


# -- the schema --


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "ModelConfig.classes must be a list, got None"),
        ({"classes": "abc"}, "ModelConfig.classes must be a list, got 'abc'"),
        ({"classes": ["a", None, "c"]}, r"ModelConfig.classes\[1\] must be a string, got None"),
        ({"classes": ["a", "\ud800", "c"]}, r"ModelConfig.classes\[1\] must be a string"),
        ({"backbone": 7}, "ModelConfig.backbone must be a string, got 7"),
        ({"backbone": None}, "ModelConfig.backbone must be a string, got None"),
        ({"backbone": ["test_vit"]}, r"ModelConfig.backbone must be a string, got \['test_vit'\]"),
        ({"ablation": ["full"]}, "ModelConfig.ablation must be a string"),
        ({"num_classes": 3.0}, "ModelConfig.num_classes must be a whole number"),
        ({"num_classes": True}, "ModelConfig.num_classes must be a whole number"),
        ({"num_classes": 10**30}, "ModelConfig.num_classes must be a whole number of at most"),
        ({"top_ratio": float("nan")}, "ModelConfig.top_ratio must be a finite number"),
        ({"top_ratio": "0.1"}, "ModelConfig.top_ratio must be a finite number"),
        ({"img_size": 32}, "ModelConfig.img_size must be a list, got 32"),
        ({"img_size": [32, 48, 3]}, "ModelConfig.img_size must be a list of 2 values"),
        ({"img_size": [32, "48"]}, r"ModelConfig.img_size\[1\] must be a whole number"),
        ({"preprocess": {"size": [32, 48], "mean": [0.5, None, 0.5]}}, r"Preprocess.mean\[1\] must be a finite number"),
        ({"preprocess": {"size": [32, 48], "fit": {}}}, "Preprocess.fit must be a string"),
        ({"backbone": "no_such_vit"}, "config.json describes no model of ours: timm has no model 'no_such_vit'"),
    ],
    ids=str,
)
def test_a_wrong_type_is_named_with_its_field(changes, message, saved):
    edit(saved, **changes)
    with pytest.raises(dcal.CheckpointError, match=message):
        dcal.load(saved)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, '{"format": 1, "num_classes": ' + "9" * 10_000 + "}", '{"format": 1e999}'],
)
def test_deep_and_huge_json_is_one_error(text, saved):
    (saved / "config.json").write_text(text)
    with pytest.raises(dcal.CheckpointError, match=r"config\.json"):
        dcal.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 200_000])
def test_damaged_metrics_are_named(text, saved):
    (saved / "metrics.json").write_text(text)
    with pytest.raises(dcal.CheckpointError, match=r"metrics\.json (is damaged|must hold)"):
        dcal.read_metrics(saved)


# -- a distractor that is none --


@pytest.mark.parametrize("ablation", list(dcal.ABLATIONS))
@pytest.mark.parametrize("distractor", [[0, 5], [-1, 0]], ids=str)
def test_a_distractor_that_is_none_is_refused_whatever_the_ablation(distractor, ablation):
    model = dcal.create_model("test_vit", 3, img_size=SIZE, ablation=ablation).eval()
    with pytest.raises(dcal.DCALError, match="distractor holds one index into the batch per image"):
        model(torch.randn(2, 3, *SIZE), torch.tensor(distractor))
