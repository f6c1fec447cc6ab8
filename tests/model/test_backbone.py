"""The backbone is timm's: what is taken and what is refused, weights from files, position embeddings of any size."""

import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer
from torch import Tensor

import dcal
from dcal.model.backbone import create_backbone, preprocess_of
from dcal.model.kinds import TokenLayout, layout_of
from tests.fixtures.oracles import randomise
from tests.fixtures.small import random_images

SMALL = "test_vit"  # timm's own for tests: 6 layers, 2 heads, width 64, patch 16
SIZE = (32, 48)


@pytest.fixture(scope="module")
def trained() -> VisionTransformer:
    """A stand-in for a pretrained model: 1000 classes, made for 5 × 5 patches, no tensor left as it was initialised."""
    model = timm.create_model(SMALL, img_size=80, num_classes=1000)
    randomise(model)
    return model


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory) -> Path:
    return written(trained.state_dict(), tmp_path_factory.mktemp("weights") / "trained.safetensors")


def written(tensors: dict[str, Tensor], path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


# -- weights from a file --


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
@pytest.mark.parametrize("task", ["fgvc", "reid"])
def test_nothing_is_initialised_again_after_loading(task, ablation, trained, weights):
    model = dcal.create_model(SMALL, 7, img_size=80, pretrained=weights, task=task, ablation=ablation)
    loaded = model.backbone.state_dict()
    compared = set(trained.state_dict()) - {"head.weight", "head.bias"}
    assert compared == set(loaded) - {"head.weight", "head.bias"}
    assert all(torch.equal(loaded[name], trained.state_dict()[name]) for name in compared)
    if model.glca is not None:
        last = trained.blocks[-1].state_dict()
        assert all(torch.equal(tensor, last[name]) for name, tensor in model.glca.block.state_dict().items())
        assert torch.equal(model.glca.norm.weight, trained.norm.weight)


def test_classifier_is_left_out_for_another_number_of_classes(weights):
    model = create_backbone(SMALL, 7, (80, 80), weights)
    assert model.head.weight.shape == (7, 64)
    assert model.head.weight.std() < 0.05, "fresh, not a part of the old one"
    assert isinstance(create_backbone(SMALL, 0, (80, 80), weights).head, torch.nn.Identity)


@pytest.mark.parametrize("classes", [1000, 7])
def test_classifier_is_kept_for_the_same_number_of_classes(classes, tmp_path):
    source = timm.create_model(SMALL, img_size=80, num_classes=classes)
    randomise(source)
    model = create_backbone(SMALL, classes, (80, 80), str(written(source.state_dict(), tmp_path / "w.safetensors")))
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_both_classifiers_of_a_distilled_model_are_left_out(tmp_path):
    name, tiny = "deit_tiny_distilled_patch16_224", {"depth": 1, "img_size": 32}
    source = timm.create_model(name, **tiny)
    full = {f"blocks.{i}.{key}": t.clone() for i in range(12) for key, t in source.blocks[0].state_dict().items()}
    path = written({**source.state_dict(), **full}, tmp_path / "w.safetensors")
    model = create_backbone(name, 5, (32, 32), path)
    assert model.head.weight.shape == model.head_dist.weight.shape == (5, 192)
    assert torch.equal(model.dist_token, source.dist_token)


def test_a_file_without_classifier_serves_any_number_of_classes(trained, tmp_path):
    tensors = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith("head.")}
    path = written(tensors, tmp_path / "w.safetensors")
    for classes in (0, 7, 1000):
        assert torch.equal(
            create_backbone(SMALL, classes, (80, 80), path).blocks[3].mlp.fc1.weight, tensors["blocks.3.mlp.fc1.weight"]
        )


@pytest.mark.parametrize("size", [SIZE, (112, 48)])
def test_position_embeddings_are_resized_to_the_image(size, trained, weights):
    model = create_backbone(SMALL, 7, size, weights)
    grid = (size[0] // 16, size[1] // 16)
    assert model.patch_embed.grid_size == grid
    wanted = resample_abs_pos_embed(trained.pos_embed, grid, (5, 5), num_prefix_tokens=1)
    torch.testing.assert_close(model.pos_embed.data, wanted.data)
    assert torch.equal(model.pos_embed[:, 0], trained.pos_embed[:, 0]), "the class token's place is no patch's"


def test_weights_work_as_in_timm(trained, weights):
    model = dcal.create_model(SMALL, 1000, img_size=80, pretrained=weights).eval()
    images = random_images(2, (80, 80)).float()
    torch.testing.assert_close(model(images).sa_logits, trained.eval()(images))


# -- weights that are not there, or do not fit --


@pytest.mark.parametrize("source", ["file", False])
def test_the_first_layers_alone(source, trained, weights):
    """L < 12: the first blocks with their weights, the final norm behind them."""
    whole = create_backbone(SMALL, 7, (80, 80), weights)
    model = dcal.create_model(SMALL, 7, img_size=(80, 80), num_sa_layers=2, pretrained=weights if source else False)
    assert len(model.backbone.blocks) == 2 and model.config.num_sa_layers == 2
    assert model.rollouts(torch.zeros(1, 3, 80, 80)).shape[1] == 2
    if source:
        for name, tensor in model.backbone.blocks.state_dict().items():
            assert torch.equal(tensor, whole.blocks.state_dict()[name])
        assert torch.equal(model.glca.block.norm1.weight, whole.blocks[1].norm1.weight)
    for wrong in ({"num_sa_layers": 99}, {"num_pwca_layers": 99}, {"num_sa_layers": 2, "num_pwca_layers": 3}):
        with pytest.raises(dcal.DCALError, match="must lie between 1 and"):
            dcal.create_model(SMALL, 7, img_size=(80, 80), **wrong)


def test_a_missing_file(tmp_path):
    with pytest.raises(dcal.CheckpointError, match=r"no weights at .*nothing\.safetensors"):
        create_backbone(SMALL, 7, SIZE, tmp_path / "nothing.safetensors")


def test_a_pickled_file_is_loaded_if_it_holds_tensors_only(trained, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(trained.state_dict(), path)
    assert torch.equal(create_backbone(SMALL, 7, (80, 80), path).pos_embed, trained.pos_embed)
    torch.save(trained, path)
    with pytest.raises(dcal.CheckpointError, match=r"model\.pth holds more than tensors.*could run code"):
        create_backbone(SMALL, 7, SIZE, path)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_file(kept, weights, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(dcal.CheckpointError, match="not a complete safetensors file"):
        create_backbone(SMALL, 7, SIZE, path)


def test_a_file_that_lacks_tensors_never_leaves_them_random(trained, tmp_path):
    tensors = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith("blocks.4.")}
    path = written(tensors, tmp_path / "w.safetensors")
    for classes in (7, 1000, 0):
        with pytest.raises(dcal.CheckpointError, match=r"12 tensors missing.*blocks\.4\."):
            create_backbone(SMALL, classes, (80, 80), path)


def test_a_file_of_something_else(trained, tmp_path):
    path = written({"conv.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(dcal.CheckpointError, match=r"1 tensors in .*names of none of the formats.*conv\.weight"):
        create_backbone(SMALL, 7, SIZE, path)
    path = written({**trained.state_dict(), "blocks.6.norm1.weight": torch.ones(64)}, tmp_path / "w.safetensors")
    with pytest.raises(dcal.CheckpointError, match=r"1 unexpected.*blocks\.6\.norm1\.weight"):
        create_backbone(SMALL, 7, SIZE, path)


def test_a_file_of_another_width(trained, tmp_path):
    path = written({**trained.state_dict(), "norm.weight": torch.zeros(65)}, tmp_path / "w.safetensors")
    with pytest.raises(dcal.CheckpointError, match=r"norm\.weight.*65.*64"):
        create_backbone(SMALL, 7, SIZE, path)


def test_the_hub_cannot_be_reached_and_says_so_at_once():
    start = time.monotonic()
    with pytest.raises(dcal.CheckpointError, match=r"deit_tiny.*hub \(needs the network.*local file"):
        create_backbone("deit_tiny_patch16_224", 7, SIZE, pretrained=True)
    assert time.monotonic() - start < 20


# -- what can be a backbone --


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("resnet18", "img_size"),
        ("test_convnext", "img_size"),
        ("swin_tiny_patch4_window7_224", "it is a SwinTransformer"),
        ("xcit_nano_12_p16_224", "it is a Xcit"),
        ("vit_dwee_patch16_reg1_gap_256", "Block and DiffAttention"),
        ("vit_small_patch16_18x2_224", "ParallelThingsBlock"),
    ],
)
def test_another_architecture_is_told_what_is_supported(name, why):
    with (
        torch.device("meta"),
        pytest.raises(dcal.DCALError, match=rf"'{name}' cannot serve.*{why}.*deit3.*dinov2.*dcal models"),
    ):
        create_backbone(name, 7, (224, 224), pretrained=False)


def test_an_unknown_name_is_told_the_closest():
    with pytest.raises(dcal.DCALError, match=r"no model 'deit_tiny_patch16_244'.*deit_tiny_patch16_224"):
        create_backbone("deit_tiny_patch16_244", 7, SIZE, pretrained=False)
    with pytest.raises(dcal.DCALError, match="no model 'zzz9'"):
        create_backbone("zzz9", 7, SIZE, pretrained=False)


@pytest.mark.parametrize("pretrained", [False, True, "file"])
@pytest.mark.parametrize(
    ("size", "fitting"),
    [((33, 48), (32, 48)), ((32, 8), (32, 16)), ((8, 8), (16, 16)), ((225, 221), (224, 224))],
    ids=str,
)
def test_a_size_that_the_patch_does_not_divide_is_refused_before_weights_are_sought(size, fitting, pretrained, weights):
    with pytest.raises(dcal.DCALError) as error:
        create_backbone(SMALL, 7, size, weights if pretrained == "file" else pretrained)
    assert str(error.value).endswith(f"{size} is not a multiple of {SMALL!r}'s patch (16, 16); try {fitting}")


@pytest.mark.parametrize(
    ("name", "size", "layout"),
    [
        ("deit_tiny_patch16_224", (32, 48), TokenLayout(1, 2, 3)),
        ("deit_tiny_distilled_patch16_224", (32, 80), TokenLayout(2, 2, 5)),
        ("vit_small_patch14_reg4_dinov2", (42, 28), TokenLayout(5, 3, 2)),
        ("vit_small_patch8_224", (16, 24), TokenLayout(1, 2, 3)),
        ("vit_small_patch32_224", (96, 64), TokenLayout(1, 3, 2)),
    ],
)
def test_layout(name, size, layout):
    with torch.device("meta"):
        model = create_backbone(name, 7, size, pretrained=False)
    assert layout_of(model) == layout
    assert layout.patches == layout.rows * layout.cols


def test_stochastic_depth_is_timm_s():
    model = dcal.create_model(SMALL, 7, img_size=SIZE, drop_path=0.3)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.backbone.blocks]
    torch.testing.assert_close(rates, torch.linspace(0, 0.3, 6).tolist())
    assert model.glca.block.drop_path1.drop_prob == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["deit3_small_patch16_224", "vit_base_patch32_clip_224", "vit_small_patch14_dinov2"])
def test_preprocessing_is_what_timm_states(name):
    with torch.device("meta"):
        model = create_backbone(name, 7, (224, 448), pretrained=False)
    cfg, stated = timm.get_pretrained_cfg(name), preprocess_of(model, (224, 448))
    assert (stated.size, stated.fit) == ((224, 448), "crop")
    assert (stated.crop_fraction, stated.interpolation) == (cfg.crop_pct, cfg.interpolation)
    assert (stated.mean, stated.std) == (cfg.mean, cfg.std)
