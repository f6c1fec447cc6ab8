"""Every kind of backbone: timm's own answers, its own attention maps, and DCAL's branches on it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dcal
from dcal.explain.relevance import class_relevance
from dcal.model.attention import attend
from dcal.model.backbone import create_backbone, encode
from dcal.model.kinds import layout_of
from dcal.model.loss import DCALLoss
from dcal.model.pooling import pooled_weights
from dcal.model.positions import Backbone, Block, place_as_last, placed_blocks
from dcal.model.pwca import encode_joined, encode_matched
from dcal.model.rollout import class_rollout, layer_rollouts
from tests.fixtures.explicit import rollout_by_products
from tests.fixtures.kinds import KINDS, explicit, kind_model, pooled_by_hand
from tests.fixtures.small import CLASSES, COLS, DEPTH, HEADS, ROWS, SIZE, random_images


def near(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, atol=1e-10, rtol=1e-10)


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_answers_are_timm_s_own(kind):
    model = kind_model(kind)
    images = random_images(2)
    with torch.no_grad():
        got = model(images, torch.tensor([1, 0]))
        near(got.sa_logits, model.backbone(images))
        near(got.sa_feature, model.backbone.forward_head(model.backbone.forward_features(images), pre_logits=True))
    assert got.sa_logits.std() > 0.05
    assert all(value.isfinite().all() for value in vars(got).values() if value is not None)


@every_kind
def test_the_rollout_is_that_of_timm_s_own_maps(kind):
    """By products of whole matrices, from what is pooled: with head-means kept, and from queries and keys."""
    model, images = kind_model(kind, "sa_only"), random_images(2)
    _, maps = explicit(copy.deepcopy(model.backbone), images)
    means = torch.stack([own.detach().mean(dim=1) for own in maps])
    with torch.no_grad():
        tokens, kept = encode(model.backbone, model.embed(images), keep_rollout=True)
    again, record = encode(model.backbone, model.embed(images), keep_rollout=True)
    near(again.detach(), tokens)
    weights = pooled_by_hand(model.backbone, tokens)
    pooled = pooled_weights(model.backbone, tokens)
    assert (pooled is None) == (model.backbone.global_pool == "token")
    products = [rollout_by_products(means[:, image]) for image in range(len(images))]
    wanted = torch.stack([torch.einsum("n,lnm->lm", own, all_) for own, all_ in zip(weights, products, strict=True)])
    for layers in (kept, record):
        near(layer_rollouts(layers, pooled=pooled), wanted)
        near(class_rollout(layers, pooled), wanted[:, -1])
    assert wanted.std(dim=-1).max() > 0.01


@every_kind
def test_glca_at_all_patches_is_the_whole_block(kind):
    """Its block starts as the last one's copy, at its place: all patches as queries give what timm's block gives."""
    model, images = kind_model(kind, top_ratio=1.0), random_images(2)
    model.glca.block.load_state_dict(model.backbone.blocks[-1].state_dict())
    with torch.no_grad():
        *_, tokens, wanted = walk(model.backbone, images)
        model.glca.norm = nn.Identity()
        everything = torch.arange(ROWS * COLS).expand(2, -1)
        got = model.glca(tokens, everything, pooled_weights(model.backbone, tokens), place_as_last(model.backbone))
    near(got[:, 1:], wanted[:, model.layout.prefix :])
    if model.backbone.global_pool == "token":
        near(got[:, 0], wanted[:, 0])


def walk(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """The tokens before every block of timm's own forward, and after the last."""
    seen: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(lambda m, given: seen.append(given[0])) for block in backbone.blocks]
    hooks.append(backbone.blocks[-1].register_forward_hook(lambda m, given, out: seen.append(out)))
    backbone(images)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    "kind", ["average", "average with registers", "attention pooling", "eva02", "beit", "relative"]
)
def test_what_is_pooled_asks_in_the_place_of_a_class_token(kind):
    """GLCA's first query is the pooled mean of the last tokens, with the mean of the biases: a number at a time."""
    model, images = kind_model(kind), random_images(2)
    with torch.no_grad():
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True)
        pooled = pooled_weights(model.backbone, tokens)
        scores = class_rollout(layers, pooled)[:, model.layout.prefix :]
        attention, carried = model.glca_maps(tokens, model.select(scores), layers)
        block = model.glca.block
        q, k, _ = whole_heads(block, torch.cat([tokens, (pooled[:, :, None] * tokens).sum(dim=1, keepdim=True)], dim=1))
        bias = torch.zeros(1, HEADS, tokens.shape[1], tokens.shape[1], dtype=torch.float64)
        if kind == "beit":
            bias = block.attn._get_rel_pos_bias()
        elif kind == "relative":
            bias = block.attn.rel_pos.get_bias()
        if kind != "eva02":  # whose keys are rotated, and whose maps the test above holds
            logits = torch.einsum("bhd,bhnd->bhn", q[:, :, -1], k[:, :, :-1]) / q.shape[-1] ** 0.5
            logits = logits + torch.einsum("bn,xhnm->bhm", pooled, bias)
            near(attention[:, :, 0], logits.softmax(dim=-1))
    near(attention.sum(dim=-1), torch.ones_like(attention[..., 0]))
    near(carried.sum(dim=-1), torch.ones(2, dtype=torch.float64))


def whole_heads(block: Block, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K, V of all tokens by timm's joint matrix, without positions."""
    attention, normed = block.attn, block.norm1(tokens)
    if attention.qkv is None:
        parts = [attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)]
    else:
        bias = attention.qkv.bias
        if bias is None:
            bias = torch.cat([attention.q_bias, attention.k_bias, attention.v_bias])
        parts = (normed @ attention.qkv.weight.T + bias).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
    return q, k, v


@every_kind
def test_pwca_with_an_image_as_its_own_distractor_is_sa(kind):
    model, images = kind_model(kind), random_images(4)
    partner = torch.tensor([2, 3, 0, 1])
    with torch.no_grad():
        x = model.embed(images)
        tokens, _ = encode(model.backbone, x)
        near(encode_joined(model.backbone, x, torch.arange(4)), tokens)
        matched, joined = (way(model.backbone, x, partner) for way in (encode_matched, encode_joined))
        near(matched, joined)
    assert (matched - tokens).abs().max() > 0.01


@every_kind
@pytest.mark.parametrize("task", ["fgvc", "reid"])
def test_every_parameter_learns_from_the_branches(kind, task):
    model = kind_model(kind, task=task).train()
    loss = DCALLoss(model.config.branches, triplet=float(task == "reid")).double()
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=1e-3)
    images, targets = random_images(4), torch.tensor([0, 0, 1, 2])
    values = []
    for _ in range(3):
        optimizer.zero_grad()
        total, parts = loss(model(images, torch.tensor([2, 3, 0, 1])), targets)
        total.backward()
        values.append(total.item())
        assert set(parts) == {"sa", "glca", "pwca"}
        learned = {name: own for name, own in model.named_parameters() if own.requires_grad}
        without = [name for name, own in learned.items() if own.grad is None or not own.grad.any()]
        assert not without, without
        optimizer.step()
    assert values[-1] < values[0]


@every_kind
def test_class_relevance_is_that_of_timm_s_own_maps(kind):
    """Chefer et al. by whole matrices and timm's gradients; an attention pooling is one more layer, of one row."""
    model, image = kind_model(kind, "sa_only"), random_images(1)
    backbone, target = copy.deepcopy(model.backbone), 3
    logits, maps = explicit(backbone, image)
    got = class_relevance(model, image, target)
    logits[0, target].backward()
    products = [(own * own.grad).clamp(min=0).mean(dim=1)[0] for own in maps]
    with torch.no_grad():
        tokens, _ = encode(model.backbone, model.embed(image))
        relevant = pooled_by_hand(model.backbone, tokens)[0]
    if model.backbone.global_pool == "map":
        relevant = pool_relevance(model.backbone, tokens, target)
    for product in reversed(products):
        relevant = relevant + relevant @ product
    near(got.relevance[0], relevant)
    near(got.gradient_rollout.sum(), torch.tensor(1.0, dtype=torch.float64))


def pool_relevance(backbone: Backbone, tokens: Tensor, target: int) -> Tensor:
    """mean_h max(0, A ∘ ∇A) of the pooling's only row."""
    pool = backbone.attn_pool
    normed = backbone.norm(tokens)[:, 0 if kind_is_eva(backbone) else backbone.num_prefix_tokens :]
    q = pool.q(pool.latent).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
    k, v = (part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2) for part in pool.kv(normed).chunk(2, dim=-1))
    attention = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1).detach().requires_grad_()
    x = pool.proj((attention @ v).transpose(1, 2).flatten(2))
    x = (x + pool.mlp(pool.norm(x)))[:, 0]
    backbone.head(backbone.fc_norm(x))[0, target].backward()
    row = (attention * attention.grad).clamp(min=0).mean(dim=1)[0, 0].detach()
    return torch.cat([torch.zeros(tokens.shape[1] - len(row), dtype=row.dtype), row])


def kind_is_eva(backbone: nn.Module) -> bool:
    return type(backbone).__name__ == "Eva"


@every_kind
def test_a_record_has_the_same_maps_and_comes_back_from_its_file(kind, tmp_path):
    model = kind_model(kind).float()
    image = (np.random.default_rng(3).random((40, 50, 3)) * 255).astype(np.uint8)
    seen = dcal.inspect(model, image, target=1)
    image = model.config.preprocess.tensor(dcal_view(seen))[None]
    _, maps = explicit(copy.deepcopy(model.backbone), image)
    weights = np.eye(1, maps[0].shape[-1])[0] if seen.pooled is None else seen.pooled
    again = dcal.Inspection.from_npz(seen.to_npz(tmp_path / "seen.npz"))
    for record in (seen, again):
        for layer in (0, DEPTH - 1):
            for token in (0, record.queries.shape[2] - 1):
                wanted = maps[layer][0, :, token].detach().numpy()
                np.testing.assert_allclose(record.attention_rows(layer, token), wanted, atol=2e-5)
            wanted = np.einsum("n,nm->m", weights, maps[layer][0, 2].detach().numpy())
            patches = wanted[record.layout.prefix :].reshape(ROWS, COLS)
            np.testing.assert_allclose(record.head(layer, 2), patches, atol=2e-5)
        q, k = record.scoring(1)  # what the live view computes from
        assert q.shape[-1] == k.shape[-1] == record.score_width
        logits = torch.from_numpy(np.einsum("he,hne->hn", q[:, 1], k))
        rows = (logits / record.score_width**0.5).softmax(dim=-1)
        np.testing.assert_allclose(rows, record.attention_rows(1, 1), atol=2e-6)
        np.testing.assert_allclose(record.rolled(start=DEPTH - 1).shape, (1, ROWS, COLS))
        np.testing.assert_allclose(record.rolled(fusion="mean"), record.rollout, atol=1e-6)
    assert dcal.reselect(model, again, 1.0).selected.shape == (ROWS * COLS,)
    assert len(seen.layout.prefix_names) == seen.layout.prefix
    assert seen.layout.prefix or seen.pooled is not None


def dcal_view(seen: dcal.Inspection):
    from PIL import Image

    return Image.fromarray(seen.view)


@pytest.mark.parametrize("kind", ["average", "attention pooling", "dinov3", "beit"])
def test_a_pair_s_relevance_is_the_sum_of_its_branches(kind):
    """Exchanged images have exchanged maps, and a margin over the match itself is none, on every kind."""
    model = kind_model(kind, task="reid")
    query, match = random_images(2).split(1)
    one, two = dcal_pair(model, query, match), dcal_pair(model, match, query)
    for branch in ("sa", "glca", "fused"):
        near(one.query[branch], two.match[branch])
        assert one.query[branch].min() >= 0 and one.query[branch].max() > 1e-6
        assert dcal_pair(model, query, match, match).query[branch].abs().max() < 1e-12


def dcal_pair(model: dcal.DCAL, query: Tensor, match: Tensor, other: Tensor | None = None):
    from dcal.explain.pair_relevance import pair_relevance

    return pair_relevance(model, query, match, other)


def test_an_attention_pooling_is_a_step_of_the_pair_s_relevance():
    """Of a similarity to a fixed feature, by finite differences of the pooling's own attention."""
    from dcal.explain.pair_relevance import branch_gradients, trace_branches

    model = kind_model("attention pooling", "sa_only", task="reid")
    query, match = random_images(2).split(1)
    with torch.enable_grad():
        traced = trace_branches(model, torch.cat([query, match]))
        gradients = branch_gradients(traced, {"sa": (traced.features["sa"][:1] * traced.features["sa"][1:]).sum(dim=1)})
    pool, gradient, other = traced.pool, gradients["sa"][-1], traced.features["sa"][1].detach()
    near(pool.output, attend(pool.q, pool.k, pool.v))
    backbone = model.backbone
    for head, token in ((0, 0), (2, 4)):
        ends = []
        for sign in (1e-5, -1e-5):
            attended = pool.output[:1].detach().clone()
            attended[0, head, 0] += sign * pool.v[0, head, token]
            x = backbone.attn_pool.proj(attended.transpose(1, 2).flatten(2))
            x = (x + backbone.attn_pool.mlp(backbone.attn_pool.norm(x)))[:, 0]
            ends.append(torch.nn.functional.normalize(backbone.fc_norm(x), dim=-1)[0] @ other)
        found = (gradient[0, head, 0] * pool.v[0, head, token]).sum()
        torch.testing.assert_close(found, (ends[0] - ends[1]).detach() / 2e-5, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("test_vit2", ("register 1",)),
        ("test_vit3", ("register 1",)),
        ("test_vit_relpos", ()),
        ("beit_base_patch16_224", ("class",)),
        ("vit_small_patch16_dinov3", ("class", *(f"register {index}" for index in range(1, 5)))),
        ("vit_pe_core_tiny_patch16_384", ("class",)),
        ("vit_base_patch16_rope_reg1_gap_256", ("register 1",)),
        ("naflexvit_base_patch16_gap", tuple(f"register {index}" for index in range(1, 5))),
        ("naflexvit_base_patch16_radio_v3", ("class", *(f"register {index}" for index in range(1, 8)))),
    ],
)
def test_timm_s_models_are_taken_at_other_sizes(name, names):
    with torch.device("meta"):
        model = create_backbone(name, CLASSES, (64, 96), pretrained=False)
    layout = layout_of(model)
    assert layout.prefix_names == names and layout.prefix == len(names)
    assert (layout.rows, layout.cols) == (4, 6)


@pytest.mark.parametrize("name", ["test_vit2", "test_vit3", "test_vit_relpos"])
def test_a_checkpoint_of_it_gives_the_same_answers(name, tmp_path):
    model = dcal.create_model(name, CLASSES, img_size=SIZE).eval()
    again = dcal.load(dcal.save(model, tmp_path / "it", dtype=torch.float32))
    images = random_images(2).float()
    with torch.inference_mode():
        assert torch.equal(again(images).probabilities, model(images).probabilities)
        assert torch.equal(again.rollouts(images), model.rollouts(images))
    assert len(placed_blocks(again.backbone)) == len(model.backbone.blocks)
