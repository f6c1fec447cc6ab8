"""Who distracts whom, and what PWCA makes of it: one softmax over both images' tokens."""

from collections import Counter
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dcal
from dcal.model import backbone as walk
from dcal.model import pwca
from dcal.model.pwca import check_distractor, is_matching, pair_order
from tests.fixtures.oracles import block_output
from tests.fixtures.small import VARIANTS, random_images, small_model

NEAR = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def drawn(batch: int, seed: int) -> torch.Tensor:
    return dcal.random_matching(batch, torch.Generator().manual_seed(seed))


@given(st.integers(2, 67), st.integers(0, 2**31))
def test_everybody_has_a_partner_and_nobody_is_their_own(batch, seed):
    partner, everybody = drawn(batch, seed), torch.arange(batch)
    assert partner.sort().values.equal(everybody), "each image distracts exactly one"
    assert (partner != everybody).all()
    ring = (partner[partner] != everybody).sum()
    assert ring == (3 if batch % 2 else 0)
    assert partner[partner[partner]][partner[partner] != everybody].equal(everybody[partner[partner] != everybody])
    assert is_matching(partner) == (batch % 2 == 0)


@given(st.integers(2, 67), st.integers(0, 2**31))
def test_a_generator_decides_alone(batch, seed):
    assert drawn(batch, seed).equal(drawn(batch, seed))


@given(st.integers(1, 33), st.integers(0, 2**31))
def test_partners_stand_side_by_side_each_image_once(pairs, seed):
    partner = drawn(2 * pairs, seed)
    order = pair_order(partner)
    assert order.sort().values.equal(torch.arange(2 * pairs))
    assert partner[order[0::2]].equal(order[1::2])


@pytest.mark.parametrize(("batch", "possible"), [(4, 3), (5, 20), (6, 15)])
def test_matchings_are_equally_likely(batch, possible, generator):
    draws = 80 * possible
    counts = Counter(tuple(dcal.random_matching(batch, generator).tolist()) for _ in range(draws))
    assert len(counts) == possible
    assert all(abs(count - 80) < 5 * 80**0.5 for count in counts.values()), counts  # five standard deviations


@pytest.mark.parametrize("batch", [1, 0, -3])
def test_nobody_to_be_paired_with(batch):
    with pytest.raises(dcal.DCALError, match=f"at least 2, got {batch}"):
        dcal.random_matching(batch)


# -- PWCA --


@pytest.fixture(scope="module", params=VARIANTS)
def model(request) -> dcal.DCAL:
    return small_model(request.param).requires_grad_(False)


def naive_pairs(model: dcal.DCAL, x: torch.Tensor, partner: list[int], alone: int = 0) -> torch.Tensor:
    """softmax(Q_i [K_i; K_j]ᵀ / √d) [V_i; V_j] in loops, layer by layer, j = partner[i] in its own PWCA stream.

    The first `alone` layers are plain self-attention.
    """
    for index, block in enumerate(model.backbone.blocks):
        contexts = [x[i] if index < alone else torch.cat([x[i], x[j]]) for i, j in enumerate(partner)]
        x = torch.stack([block_output(block, own, context) for own, context in zip(x, contexts, strict=True)])
    return x


@pytest.mark.parametrize("partner", [[2, 3, 0, 1], [1, 2, 0]], ids=["matching", "ring"])
def test_the_last_layers_alone_are_pair_wise(partner):
    model = small_model("registers", num_pwca_layers=1).requires_grad_(False)
    images, distractor = random_images(len(partner)), torch.tensor(partner)
    wanted = naive_pairs(model, model.embed(images), partner, alone=len(model.backbone.blocks) - 1)
    NEAR(pwca.encode_pairs(model.backbone, model.embed(images), distractor, None, 1), wanted)
    NEAR(model(images, distractor).pwca_logits, model.read_sa(wanted).sa_logits)
    shares = model.distractor_shares(images, distractor)
    assert shares[:-1].eq(0).all() and 0 < shares[-1] < 1
    others = small_model("registers", num_pwca_layers=1, distractor_stream="sa").requires_grad_(False)
    NEAR(others(images, distractor).pwca_logits, model(images, distractor).pwca_logits)  # before it, the same stream


@pytest.mark.parametrize("partner", [[1, 0], [2, 3, 0, 1], [1, 2, 0], [4, 2, 1, 0, 3], [0, 0, 0]], ids=str)
def test_pairs_are_the_formula(partner, monkeypatch):
    model = small_model("registers").requires_grad_(False)
    x = model.embed(random_images(len(partner)))
    wanted = naive_pairs(model, x, partner)
    NEAR(pwca.encode_pairs(model.backbone, x, torch.tensor(partner)), wanted)
    monkeypatch.setattr(pwca, "is_matching", lambda partner: False)  # joined keys, even where pairs would do
    NEAR(pwca.encode_pairs(model.backbone, x, torch.tensor(partner)), wanted)


def test_paired_and_joined_are_one(model, monkeypatch):
    x, partner = model.embed(random_images(6)), torch.tensor([3, 4, 5, 0, 1, 2])
    paired = pwca.encode_pairs(model.backbone, x, partner)
    monkeypatch.setattr(pwca, "is_matching", lambda partner: False)
    NEAR(pwca.encode_pairs(model.backbone, x, partner), paired)


def test_an_image_as_its_own_distractor_is_self_attention(model):
    images = random_images(3)
    out = model(images, distractor=torch.arange(3))
    NEAR(out.pwca_logits, out.sa_logits)
    NEAR(out.pwca_feature, out.sa_feature)


@pytest.mark.parametrize("variant", ["plain", "registers"])
def test_so_are_the_gradients(variant):
    """Of all that the branches share, down to the patch embedding."""
    model = small_model(variant, ablation="sa_pwca")
    out = model(random_images(3), distractor=torch.arange(3))
    names, shared = zip(*model.named_parameters(), strict=True)
    wanted, got = (
        torch.autograd.grad(y.square().sum(), shared, retain_graph=True) for y in (out.sa_logits, out.pwca_logits)
    )
    for name, *pair in zip(names, got, wanted, strict=True):
        NEAR(*pair, msg=name)
        assert pair[0].any(), name


def test_another_distractor_does_distract(model):
    out = model(random_images(4), distractor=torch.tensor([1, 0, 3, 2]))
    assert ((out.pwca_logits - out.sa_logits).abs().amax(dim=1) > 1e-2).all()
    other = model(random_images(4), distractor=torch.tensor([2, 3, 0, 1]))
    assert ((out.pwca_logits - other.pwca_logits).abs().amax(dim=1) > 1e-3).all()


@pytest.mark.parametrize("partner", [[1, 0, 3, 2], [1, 2, 3, 0]], ids=["pairs", "ring"])
def test_order_of_the_distractor_s_tokens_does_not_matter(model, partner):
    x = model.embed(random_images(4))
    shuffled = x.clone()
    shuffled[1] = x[1, torch.randperm(x.shape[1])]
    got = pwca.encode_pairs(model.backbone, shuffled, torch.tensor(partner))
    wanted = pwca.encode_pairs(model.backbone, x, torch.tensor(partner))
    assert partner[0] == 1
    NEAR(got[0], wanted[0])
    assert (got[1] - wanted[1]).abs().max() > 1e-2, "the shuffled image's own tokens are elsewhere now"


@pytest.mark.parametrize("partner", [[1, 0], [1, 2, 0]], ids=str)
def test_distractors_of_another_stream_are_the_formula(partner):
    model = small_model("registers").requires_grad_(False)
    x = own = other = model.embed(random_images(len(partner)))
    stream: list = []
    walk.encode(model.backbone, x, stream=stream)
    for block in model.backbone.blocks:
        joined = [torch.cat([own[i], other[j]]) for i, j in enumerate(partner)]
        own = torch.stack([block_output(block, own[i], joined[i]) for i in range(len(partner))])
        other = block(other)  # SA's stream goes its own way
    NEAR(pwca.encode_pairs(model.backbone, x, torch.tensor(partner), stream), own)


def test_the_stream_is_the_configuration_s_and_an_image_s_own_sa_stream_does_not_distract_it():
    own, sa = small_model(), small_model(distractor_stream="sa")
    images, partner = random_images(4), torch.tensor([1, 0, 3, 2])
    assert (own(images, distractor=partner).pwca_logits - sa(images, distractor=partner).pwca_logits).abs().max() > 1e-3
    out = sa(images, distractor=torch.arange(4))
    NEAR(out.pwca_logits, out.sa_logits)


def test_only_the_distractor_distracts(model):
    images, partner = random_images(4), torch.tensor([1, 0, 3, 2])
    reference = model(images, distractor=partner).pwca_logits
    images[3] = -images[3]
    changed = (model(images, distractor=partner).pwca_logits - reference).abs().amax(dim=1)
    assert (changed[:2] < 1e-12).all()
    assert (changed[2:] > 1e-3).all()


def test_a_distractor_costs_the_other_branches_nothing(model):
    alone, distracted = model(random_images(4)), model(random_images(4), distractor=torch.tensor([1, 0, 3, 2]))
    assert alone.pwca_logits is None
    NEAR(distracted.sa_logits, alone.sa_logits)
    NEAR(distracted.glca_logits, alone.glca_logits)


@pytest.mark.parametrize(
    ("distractor", "came"), [([1, 0], r"\(2,\), .*0 to 1"), ([1, 0, 3], "0 to 3"), ([-1, 0, 1], "-1 to 1")], ids=str
)
def test_wrong_distractors_are_errors_with_numbers(distractor, came):
    with pytest.raises(dcal.DCALError, match=rf"expected \(3,\), values from 0 to 2, got .*{came}"):
        check_distractor(torch.tensor(distractor), 3)


def test_a_model_checks_its_distractors():
    with pytest.raises(dcal.DCALError, match="0 to 7"):
        small_model()(random_images(3), distractor=torch.tensor([1, 0, 7]))
