"""The model: SA is timm, one shape of output, what each ablation adds, errors before anything is computed."""

import dataclasses
import math
from functools import partial

import pytest
import torch
from timm.models import VisionTransformer

import dcal
from tests.fixtures.oracles import randomise
from tests.fixtures.small import CLASSES, SIZE, VARIANTS, random_images, small_model

NEAR = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def full_size(name: str, size: tuple[int, int], **options) -> dcal.DCAL:
    """timm's model in float64 with every parameter randomised; on its way it is never initialised, which takes long."""
    with torch.device("meta"):
        model = dcal.create_model(name, CLASSES, img_size=size, **options)
    model = model.to_empty(device="cpu").double().eval().requires_grad_(False)
    randomise(model)
    return model


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("deit_tiny_patch16_224", (32, 48)),
        ("deit_tiny_distilled_patch16_224", (48, 32)),
        ("deit3_small_patch16_224", (32, 80)),
        ("vit_tiny_patch16_224.augreg_in21k", (80, 32)),
        ("vit_small_patch16_224.augreg_in21k", (32, 48)),
        ("vit_base_patch16_224.augreg_in21k", (32, 48)),
        ("vit_xsmall_patch16_clip_224", (48, 80)),  # pre-norm
        ("vit_small_patch14_dinov2", (28, 42)),
        ("vit_small_patch14_reg4_dinov2", (42, 28)),
        ("vit_small_patch8_224", (16, 24)),
        ("vit_small_patch32_224", (96, 64)),
    ],
)
def test_sa_is_timm(name, size):
    model, images = full_size(name, size, ablation="sa_only"), random_images(3, size)
    assert isinstance(model.backbone, VisionTransformer)
    assert type(model.backbone).__module__.startswith("timm.models.")
    wanted = model.backbone(images)
    out = model(images)
    NEAR(out.sa_logits, wanted)
    NEAR(out.sa_feature, model.backbone.forward_head(model.backbone.forward_features(images), pre_logits=True))
    assert wanted.std(dim=0).min() > 1e-3, "images that all look the same would prove nothing"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("gradients", [True, False])
def test_sa_is_timm_on_every_path(gradients, variant):
    model, images = small_model(variant), random_images(3)
    with torch.set_grad_enabled(gradients):
        NEAR(model(images).sa_logits, model.backbone(images))


def test_training_s_gradients_are_timm_s():
    model, other = small_model("registers", ablation="sa_only").train(), small_model("registers", ablation="sa_only")
    model(random_images(3)).sa_logits.square().sum().backward()
    other.backbone(random_images(3)).square().sum().backward()
    wanted = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        NEAR(parameter.grad, wanted[name].grad, msg=name)


# -- the output --


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
@pytest.mark.parametrize("task", ["fgvc", "reid"])
def test_branches_are_those_of_the_ablation(task, ablation):
    model, partner = small_model(ablation=ablation, task=task), torch.tensor([2, 0, 1])
    for distractor in (None, partner):
        out = model(random_images(3), distractor=distractor)
        there = {"sa": True, "glca": "glca" in ablation or ablation == "full"}
        there["pwca"] = distractor is not None and ("pwca" in ablation or ablation == "full")
        for branch, present in there.items():
            shapes = [getattr(getattr(out, f"{branch}_{part}"), "shape", None) for part in ("logits", "feature")]
            assert shapes == ([(3, CLASSES), (3, 24)] if present else [None, None]), branch
        assert (out.selected is not None) == (out.scores is not None) == there["glca"]
    assert dcal.branches(ablation) == tuple(branch for branch, present in there.items() if present)


def test_output_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small_model()(random_images(2)).sa_logits = None


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
def test_probabilities_are_the_mean_of_the_branches_distributions(ablation):
    out = small_model(ablation=ablation)(random_images(3), distractor=torch.tensor([2, 0, 1]))
    probabilities = out.probabilities.detach()
    NEAR(probabilities.sum(dim=1), torch.ones(3, dtype=torch.float64))
    used = [logits.tolist() for logits in (out.sa_logits, out.glca_logits) if logits is not None]  # never PWCA's
    for b in range(3):
        for c in range(CLASSES):
            parts = [math.exp(row[b][c]) / sum(math.exp(value) for value in row[b]) for row in used]
            assert probabilities[b, c].item() == pytest.approx(sum(parts) / len(parts), rel=1e-12)


def test_fused_is_not_the_softmax_of_summed_logits():
    out = small_model()(random_images(3))
    assert (out.probabilities - (out.sa_logits + out.glca_logits).softmax(dim=1)).abs().max() > 1e-2


@pytest.mark.parametrize("task", ["fgvc", "reid"])
def test_both_halves_of_the_embedding_have_norm_1(task):
    out = small_model(task=task)(random_images(3), distractor=torch.tensor([2, 0, 1]))
    sa, glca = out.embedding.split(24, dim=1)
    for half, feature in ((sa, out.sa_feature), (glca, out.glca_feature)):
        NEAR(half.norm(dim=1), torch.ones(3, dtype=torch.float64))
        NEAR(half * feature.norm(dim=1, keepdim=True), feature)
    alone = small_model(task=task, ablation="sa_only")(random_images(3))
    NEAR(alone.embedding, sa, msg="the backbone is the same")


def test_reid_classifies_behind_a_batch_norm_neck():
    model = small_model(task="reid")
    out = model(random_images(3))
    neck, linear = model.sa_classifier
    scale = neck.weight / (neck.running_var + neck.eps).sqrt()
    NEAR(out.sa_logits, ((out.sa_feature - neck.running_mean) * scale + neck.bias) @ linear.weight.T)
    assert linear.bias is None
    assert isinstance(model.backbone.head, torch.nn.Identity), "a head that nothing reads would never learn"


def test_an_images_answer_does_not_depend_on_the_batch():
    model, images = small_model("registers"), random_images(4)
    together, alone = model(images), model(images[2:3])
    NEAR(together.glca_logits[2:3], alone.glca_logits)
    assert together.selected[2].tolist() == alone.selected[0].tolist()


@pytest.mark.parametrize("variant", ["plain", "qk_norm"])
def test_mixed_precision_gives_nearly_the_same(variant):
    model, images, partner = small_model(variant).float(), random_images(4).float(), torch.tensor([1, 0, 3, 2])
    exact = model(images, partner)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), torch.autocast("cpu", torch.bfloat16):
            out = model(images, partner)
        assert (out.probabilities.float() - exact.probabilities).abs().max() < 0.15
        assert (out.scores.float() - exact.scores).abs().max() < 0.02


# -- what it costs --


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "task", "stated"),
    [("deit_tiny_patch16_224", 200, "fgvc", 0.09), ("vit_base_patch16_224", 576, "reid", 0.08)],  # CUB, VeRi-776
)
def test_glca_adds_as_many_parameters_as_the_paper_states(name, classes, task, stated):
    """The paper does not say whether it counts the branch's classifier; its whole percent lies between the two."""
    with torch.device("meta"):
        alone = count(dcal.create_model(name, classes, ablation="sa_pwca", task=task))  # PWCA shares all its weights
        full = dcal.create_model(name, classes, task=task)
    assert count(full) == alone + count(full.glca) + count(full.glca_classifier)
    assert count(full.glca) / alone - 0.005 < stated < count(full) / alone - 1 + 0.005
    assert count(full.glca_classifier) / alone < 0.01


def test_branches_share_what_the_paper_shares():
    names = {a: set(small_model(ablation=a).state_dict()) for a in dcal.ABLATIONS}
    assert names["sa_pwca"] == names["sa_only"]
    assert names["full"] == names["sa_glca"]
    assert {name.split(".")[0] for name in names["full"] - names["sa_only"]} == {"glca", "glca_classifier"}


# -- errors --


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "resnet18"}, "cannot serve as backbone"),
        ({"img_size": 100}, r"\(100, 100\) is not a multiple of .*test_vit.* patch \(16, 16\); try \(96, 96\)"),
        ({"img_size": (0, 32)}, r"at least 1, got \(0, 32\)"),
        ({"img_size": (32, -16)}, r"at least 1, got \(32, -16\)"),
        ({"img_size": 8}, r"\(8, 8\).*try \(16, 16\)"),
        ({"ablation": "all"}, "'all'.*'sa_only', 'sa_glca', 'sa_pwca', 'full'"),
        ({"task": "detection"}, "'detection'.*'fgvc', 'reid'"),
        ({"readout": "max"}, "'max'.*'mean', 'class'"),
        ({"top_ratio": 1.2}, r"\(0, 1\], got 1\.2"),
        ({"num_classes": 0}, "at least 1, got 0"),
        ({"classes": ["wren", "robin"]}, "2 class names.*num_classes=3"),
        ({"preprocess": dcal.Preprocess(size=(32, 32))}, r"\(32, 32\) differs from img_size \(32, 48\)"),
        ({"pretrained": "missing.safetensors"}, r"no weights at missing\.safetensors"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_errors_are_early_and_carry_numbers(wrong, message):
    arguments = {"backbone": "test_vit", "num_classes": 3, "img_size": SIZE, **wrong}
    with pytest.raises(dcal.DCALError, match=message):
        dcal.create_model(**arguments)


def test_one_number_is_a_square():
    assert dcal.create_model("test_vit", 3, img_size=32).config.img_size == (32, 32)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 3, 48, 32)])
def test_images_of_another_size(shape):
    with pytest.raises(dcal.DCALError, match=rf"3, 32, 48.*got \({', '.join(map(str, shape))}\)"):
        small_model()(torch.zeros(shape, dtype=torch.float64))
