"""Weights of other libraries under timm's names: held against those libraries' own outputs, from random weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import VisionTransformer
from torchvision.models import VisionTransformer as TorchvisionViT

import dcal
from dcal.model.backbone import create_backbone
from dcal.model.weights import read_weights
from tests.fixtures.oracles import randomise

SMALL, SIZE = "test_vit", (32, 48)
NAME = "deit_tiny_patch16_224"
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def trained() -> VisionTransformer:
    model = timm.create_model(SMALL, img_size=SIZE, num_classes=7)
    randomise(model)
    return model.eval()


def same(path: Path, trained: VisionTransformer, format: str = "timm") -> None:
    weights = read_weights(path)
    assert weights.format == format and repr(weights) == f"Weights({len(trained.state_dict())} tensors, {format})"
    model = create_backbone(SMALL, 7, SIZE, path)
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert model.pretrained_cfg["state_dict"] is None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
        lambda tensors: {"model_state_dict": tensors, "optimizer": {"state": {}}},
        lambda tensors: {"model": {"state_dict": tensors}},
        lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"state_dict": {f"module.model.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"fc.weight": torch.ones(3), **{f"backbone.{n}": t for n, t in tensors.items()}},
        lambda tensors: {**tensors, "mask_token": torch.zeros(1, 64)},
        lambda tensors: {
            "teacher": {f"backbone.{n}": t for n, t in tensors.items()},
            "student": {f"module.backbone.{n}": t + 1 for n, t in tensors.items()},
        },
    ],
    ids=["plain", "lightning", "nest", "two nests", "ddp", "both", "compiled", "part", "dinov2", "dino"],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_nests_and_prefixes(suffix, wrap, trained, tmp_path):
    found, path = wrap(trained.state_dict()), tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(found, path)
    elif all(isinstance(value, torch.Tensor) for value in found.values()):
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, path)
    else:
        pytest.skip("a safetensors file has no nests")
    same(path, trained)


def test_old_pickles_and_blocks_in_chunks(trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    same(tmp_path / "old.pt", trained)
    chunks = {n.replace("blocks.", "blocks.0.") if "blocks." in n else n: t for n, t in trained.state_dict().items()}
    torch.save(chunks, tmp_path / "chunks.pth")
    same(tmp_path / "chunks.pth", trained)


def test_a_checkpoint_of_ours_for_a_warm_start(tmp_path):
    model = dcal.create_model(SMALL, 7, img_size=SIZE, preprocess=dcal.Preprocess(SIZE))
    randomise(model)
    dcal.save(model, tmp_path / "mine", dtype=torch.float32)
    for path in (tmp_path / "mine", tmp_path / "mine" / "model.safetensors"):
        same(path, model.backbone)
    (tmp_path / "empty").mkdir()
    with pytest.raises(dcal.CheckpointError, match=r"no weights in .*empty: it holds none of model\.safetensors"):
        read_weights(tmp_path / "empty")


def test_torchvision_s_model_gives_the_same_logits(tmp_path):
    theirs = TorchvisionViT(image_size=32, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768)
    theirs = theirs.eval()
    randomise(theirs, gain=1.0)
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    assert read_weights(tmp_path / "vit.pth").format == "torchvision"
    ours = create_backbone(NAME, 1000, (32, 32), tmp_path / "vit.pth").eval()
    torch.testing.assert_close(ours(IMAGES), theirs(IMAGES), rtol=1e-4, atol=1e-4)


# -- transformers: by the names it stores, and, where it is installed, by its own outputs --

BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
OTHERS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}


def as_transformers(model: VisionTransformer, prefix: str = "vit.") -> dict[str, torch.Tensor]:
    """The names of transformers' ViTForImageClassification as release 4 stores them."""
    result = {"classifier.weight": model.head.weight.data, "classifier.bias": model.head.bias.data}
    for name, tensor in model.state_dict().items():
        if name in OTHERS:
            result[prefix + OTHERS[name]] = tensor
        elif name.startswith("blocks."):
            _, index, rest = name.split(".", 2)
            part, kind = rest.rsplit(".", 1)
            place = f"{prefix}encoder.layer.{index}"
            if part == "attn.qkv":
                for own, own_tensor in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                    result[f"{place}.attention.attention.{own}.{kind}"] = own_tensor.clone()
            else:
                result[f"{place}.{BLOCK[part]}.{kind}"] = tensor
    return result


def test_the_names_that_transformers_stores(trained, tmp_path):
    tensors = {**as_transformers(trained), "vit.pooler.dense.weight": torch.ones(2, 2)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    for path in (tmp_path, tmp_path / "pytorch_model.bin"):
        same(path, trained, "transformers")
    save_file({n: t.contiguous() for n, t in as_transformers(trained, "").items()}, tmp_path / "model.safetensors")
    same(tmp_path, trained, "transformers")


def transformers_models() -> dict[str, tuple[str, Any]]:
    """{name: (timm's model, a random model of transformers of its size)}"""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install -e '.[weights]'"
    )
    sizes: dict[str, Any] = {
        "hidden_size": 192,
        "num_hidden_layers": 12,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        "image_size": 32,
        "patch_size": 16,
        "layer_norm_eps": 1e-6,
    }
    third: dict[str, Any] = {**sizes, "hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    third |= {"num_register_tokens": 4, "layer_norm_eps": 1e-5}
    small: dict[str, Any] = {**sizes, "hidden_size": 384, "num_attention_heads": 6, "patch_size": 14, "image_size": 28}
    return {
        "vit": (NAME, transformers.ViTModel(transformers.ViTConfig(**sizes))),
        "deit": ("deit_tiny_distilled_patch16_224", transformers.DeiTModel(transformers.DeiTConfig(**sizes))),
        "dinov2": ("vit_small_patch14_dinov2", transformers.Dinov2Model(transformers.Dinov2Config(**small))),
        "dinov2 with registers": (
            "vit_small_patch14_reg4_dinov2",
            transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**small)),
        ),
        "dinov3": (
            "vit_small_patch16_dinov3_qkvb",
            transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**third)),
        ),
    }


@pytest.mark.parametrize("kind", ["vit", "deit", "dinov2", "dinov2 with registers", "dinov3"])
@pytest.mark.parametrize("stored", ["saved", "state_dict"])
def test_transformers_own_models_give_the_same_tokens(stored, kind, tmp_path):
    name, theirs = transformers_models()[kind]
    randomise(theirs.eval(), gain=1.0)
    size = theirs.config.image_size
    if stored == "saved":
        theirs.save_pretrained(tmp_path)
    else:
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    assert read_weights(tmp_path).format == "transformers"
    ours = create_backbone(name, 5, (size, size), tmp_path).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        wanted = theirs(images).last_hidden_state
        torch.testing.assert_close(ours.forward_features(images), wanted, rtol=1e-3, atol=1e-3)


# -- what does not fit --


def test_the_format_is_named_where_the_weights_do_not_fit(trained, tmp_path):
    torch.save(as_transformers(trained), tmp_path / "w.bin")
    with pytest.raises(dcal.CheckpointError, match=r"\(recognised as transformers\) does not fit .*72 tensors"):
        create_backbone(NAME, 7, (32, 32), tmp_path / "w.bin")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"conv1.weight": torch.ones(2)}, r"1 tensors .*formats read here \(timm, torchvision, transformers\): conv1"),
        ({"epoch": 3}, "holds no model's tensors: its entries are epoch"),
        ({}, "holds no model's tensors"),
        ([torch.ones(2)], "holds a list, not a model's tensors"),
        ({"state_dict": {"a": 1}}, "holds no model's tensors: its entries are a"),
    ],
    ids=str,
)
def test_other_contents(found, message, tmp_path):
    torch.save(found, tmp_path / "w.pth")
    with pytest.raises(dcal.CheckpointError, match=message):
        read_weights(tmp_path / "w.pth")


class Loud:
    ran = False

    def __reduce__(self):
        return (setattr, (Loud, "ran", True))


def test_no_code_in_a_pickle_runs(trained, tmp_path):
    torch.save({"state_dict": trained.state_dict(), "loud": Loud()}, tmp_path / "w.pth")
    with pytest.raises(dcal.CheckpointError, match="could run code, so it is not loaded"):
        read_weights(tmp_path / "w.pth")
    assert not Loud.ran


@pytest.mark.parametrize("kept", [4, 100, 5000, -1])
def test_a_truncated_pytorch_file(kept, trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:kept])
    with pytest.raises(dcal.CheckpointError, match=r"cut\.pth"):
        read_weights(tmp_path / "cut.pth")
