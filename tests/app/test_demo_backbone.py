"""The demo of a backbone that DCAL did not train: what it shows, and what it says, with a classifier and without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import dcal
from dcal.model.bare import bare_model, imagenet_names
from dcal_explorer.content import captions
from dcal_explorer.content.backbone_library import BackboneLibrary
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.program import library, parse
from dcal_explorer.demo.server import page


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Weights of timm's test models, one with ImageNet's 1000 classes and one without a classifier, and an image."""
    place = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), place / "head.safetensors")
    save_file(timm.create_model("test_vit3", num_classes=0).state_dict(), place / "no-head.safetensors")
    Image.fromarray((np.random.default_rng(0).random((150, 170, 3)) * 255).astype(np.uint8)).save(place / "image.png")
    return place


def callbacks(folder: Path, name: str, weights: str) -> InspectCallbacks:
    return InspectCallbacks(BackboneLibrary(name, folder / weights), folder)


def test_a_classifier_of_1000_classes_names_imagenet_s(folder: Path) -> None:
    model = bare_model("test_vit", folder / "head.safetensors")
    assert (model.config.task, model.config.num_classes, model.config.ablation) == ("fgvc", 1000, "sa_only")
    assert model.config.classes[0] == "tench, Tinca tinca" and len(set(model.config.classes)) == 1000
    assert model.config.img_size == (160, 160), "what it was made for"
    assert imagenet_names(1001) == ()
    inspect = callbacks(folder, "test_vit", "head.safetensors")
    key, top, summary = inspect.inspect({"path": str(folder / "image.png")}, "test_vit")
    seen = inspect.records.get(key).seen
    assert list(top) == ["SA"] and len(top["SA"]) == 5
    assert "It knows 1000 classes; an image of anything else" in summary
    assert "class token" in inspect.layer(key, 6)[1]
    *_, sa, glca, difference = inspect.compare(key)
    assert (glca, difference) == (captions.NO_BRANCH, "") and "class token" in sa
    assert inspect.select(key, 0.5) == (None, captions.NO_BRANCH)
    relevance, rollout, about, _ = inspect.evidence(key, seen.classes[3])
    assert relevance is not None and rollout is not None and "Relevance for" in about


def test_a_backbone_without_classifier_and_class_token_says_so(folder: Path) -> None:
    inspect = callbacks(folder, "test_vit3", "no-head.safetensors")
    key, top, summary = inspect.inspect({"path": str(folder / "image.png")}, "test_vit3")
    assert top == {} and captions.NO_HEAD in summary and "compares images" not in summary
    assert inspect.evidence(key, "anything")[2] == captions.NO_HEAD
    said = [inspect.layer(key, 1)[1], inspect.heads(key, 1)[1], inspect.compare(key)[3]]
    assert all("what the model pools" in sentence for sentence in said)
    said += [inspect.token(key, 1, 1, 1)[1]]
    assert "the rest goes to the registers" in said[-1]
    assert not any("class token" in sentence for sentence in said)


def test_the_page_has_no_tab_that_needs_more_than_one_model(folder: Path) -> None:
    async def build() -> gr.Blocks:  # outside a running loop gradio makes loops of its own and leaves them open
        return page(callbacks(folder, "test_vit3", "no-head.safetensors"), [])

    blocks = asyncio.run(build())
    shown = [block.label for block in blocks.blocks.values() if isinstance(block, gr.Tab)]
    assert "Inspect" in shown and not {"Compare", "Re-identify"} & set(shown)
    texts = [block for block in blocks.blocks.values() if isinstance(block, gr.Markdown)]
    header = next(text.value for text in texts if text.elem_id == "header")
    assert "`test_vit3`" in header and "not trained with dual cross-attention" in header


def test_the_command_line_chooses_the_model(folder: Path) -> None:
    words = ["--backbone", "test_vit", "--weights", str(folder / "head.safetensors")]
    assert library(parse(words)).names() == ["test_vit"]
    assert type(library(parse(["--checkpoints", "checkpoints"]))) is CheckpointLibrary
    with pytest.raises(dcal.DCALError, match="--weights are a --backbone's"):
        library(parse(words[2:]))
    with pytest.raises(dcal.DCALError, match=r"no model 'deit_tiny'; similar names: deit_tiny_patch16_224"):
        library(parse(["--backbone", "deit_tiny"]))
    with pytest.raises(dcal.CheckpointError, match="there is no checkpoint 'other'; there is the backbone test_vit"):
        library(parse(words)).model("other")
