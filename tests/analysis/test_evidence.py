"""What match evidence is worth: pairs by seed, curves in a loop, a model in which one patch decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import dcal
from dcal.analysis.evidence import evidence_summary, measure_evidence
from dcal.analysis.pairs import Triple, draw_triples, pair_batch, pair_batches
from dcal.analysis.perturbation import filled
from dcal.analysis.sanity import rank_correlation
from dcal.data.reid.base import ReIDRecord
from dcal.data.reid.yard import Yard
from dcal.explain.pair_relevance import pair_relevance

ROWS, COLS, PATCH = 3, 5, 16
RECORDS = Yard(split="query").records


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(5)
    preprocess = dcal.Preprocess(size=(ROWS * PATCH, COLS * PATCH), crop_fraction=1.0)
    options: dict[str, Any] = {"img_size": preprocess.size, "preprocess": preprocess, "top_ratio": 0.3}
    return dcal.create_model("test_vit", 7, task="reid", ablation="full", **options).eval()


@pytest.fixture(scope="module")
def triples() -> list[Triple]:
    return draw_triples(RECORDS, RECORDS, 5, seed=3)


def record(path: str, identity: int, camera: int) -> ReIDRecord:
    return ReIDRecord(Path(path), identity, camera)


def test_triples_are_what_they_say_and_follow_from_the_seed(triples):
    for own in triples:
        assert RECORDS[own.number] == own.query
        assert own.match.identity == own.query.identity != own.other.identity
        assert own.query.camera not in (own.match.camera, own.other.camera)
    assert draw_triples(RECORDS, RECORDS, 3, seed=3) == triples[:3]
    assert draw_triples(RECORDS, RECORDS, 5, seed=4) != triples
    assert len(draw_triples(RECORDS, RECORDS, 0, seed=3)) == len(RECORDS)
    assert len({own.number for own in triples}) == 5


def test_queries_without_a_match_are_left_out():
    gallery = [record("a", 1, 1), record("b", 1, 2), record("c", 2, 1)]
    query = [gallery[0], gallery[2]]  # of 2 there is one image alone
    (only,) = draw_triples(query, gallery, 0, seed=0)
    assert (only.number, only.match, only.other) == (0, gallery[1], gallery[2])  # of camera 2 there is no other
    assert draw_triples([gallery[0]], [gallery[0], record("d", 1, 1), gallery[2]], 0, 0, one_camera=True)[
        0
    ].match.path == Path("d")
    with pytest.raises(dcal.DCALError, match="no query has a match"):
        draw_triples([gallery[2]], gallery, 0, seed=0)


def test_areas_in_a_loop(model, triples):
    found = measure_evidence(model, triples[:2], steps=4, seed=1, occluded=1, batch_size=3)
    preprocess, counts = model.config.preprocess, [0, 4, 8, 11, 15]

    def features(image: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            output = model(image)
        own = {"sa": F.normalize(output.sa_feature, dim=1)[0], "glca": F.normalize(output.glca_feature, dim=1)[0]}
        return {**own, "fused": output.embedding[0] / np.sqrt(2)}

    for place, own in enumerate(triples[:2]):
        query, match, other = (
            preprocess.tensor(preprocess.render(r.open()))[None] for r in (own.query, own.match, own.other)
        )
        blank, kept, against = filled(query, "blur"), features(match), features(other)
        for target, branch in (("similarity", "sa"), ("margin", "glca"), ("margin", "fused"), ("similarity", "fused")):
            wanted = kept[branch] - (against[branch] if target == "margin" else 0)

            relevance = pair_relevance(model, query, match, *([other] if target == "margin" else [])).query[branch][0]
            order = relevance.argsort(descending=True).tolist()
            if len(set(relevance.tolist())) < 15:  # equals come in an order drawn by the seed
                drawn = torch.randperm(15, generator=torch.Generator().manual_seed(1))
                order = drawn[relevance[drawn].argsort(descending=True, stable=True)].tolist()
            deletion, insertion = [], []
            for count in counts:
                removed, back = query.clone(), blank.clone()
                for patch in order[:count]:
                    top, left = patch // COLS * PATCH, patch % COLS * PATCH
                    where = (..., slice(top, top + PATCH), slice(left, left + PATCH))
                    removed[where], back[where] = blank[where], query[where]
                deletion.append(float(features(removed)[branch] @ wanted))
                insertion.append(float(features(back)[branch] @ wanted))
            for curve, kind in ((deletion, found.deletion), (insertion, found.insertion)):
                expected = sum((curve[i] + curve[i + 1]) / 2 * (counts[i + 1] - counts[i]) / 15 for i in range(4))
                assert kind[target][branch]["relevance"][place] == pytest.approx(expected, abs=2e-6)
    assert {name: len(own) for name, own in found.deletion["margin"]["sa"].items()} == {
        **dict.fromkeys(("relevance", "rollout", "centre", "random"), 2),
        "occlusion": 1,
    }


def test_occlusion_is_the_fall_without_one_patch(model, triples):
    (batch,) = pair_batches(model, triples[:2], seed=0, batch_size=2, occluded=2)
    index, patch = batch.columns.index(("margin", "fused")), 7
    changed, top, left = batch.queries.clone(), 7 // COLS * PATCH, 7 % COLS * PATCH
    changed[..., top : top + PATCH, left : left + PATCH] = batch.blank[..., top : top + PATCH, left : left + PATCH]
    expected = (batch.score(batch.queries) - batch.score(changed))[:, index]
    torch.testing.assert_close(batch.maps["occlusion"]["margin", "fused"][:, patch], expected, atol=1e-6, rtol=1e-4)
    sizes = [len(own.queries) for own in pair_batches(model, triples, seed=0, batch_size=2, occluded=3)]
    assert sizes == [2, 1, 2]


def test_dependence_compares_the_evidence_for_two_images(model, triples):
    found = measure_evidence(model, triples[:2], steps=2)
    batch = pair_batch(model, triples[:2], seed=0)
    other = pair_batch(model, [Triple(own.number, own.query, own.other, own.match) for own in triples[:2]], seed=0)
    for branch in ("sa", "glca", "fused"):
        maps = [own.maps["relevance"]["similarity", branch].double().numpy() for own in (batch, other)]
        np.testing.assert_allclose(found.dependence[branch], rank_correlation(*maps), atol=1e-9)
    same = measure_evidence(
        model, [Triple(own.number, own.query, own.match, own.match) for own in triples[:2]], steps=2
    )
    np.testing.assert_allclose(same.dependence["fused"], 1)


def test_another_batch_size_gives_the_same_and_more_pairs_the_same_first(model, triples):
    one, two = (measure_evidence(model, triples, 3, 0, 2, batch_size=size) for size in (1, 4))
    fewer = measure_evidence(model, triples[:3], 3, 0, 2)
    for target in ("similarity", "margin"):
        for name in ("relevance", "occlusion", "random", "centre", "rollout"):
            own = one.insertion[target]["fused"][name]
            np.testing.assert_allclose(own, two.insertion[target]["fused"][name], atol=1e-5)
            first = fewer.insertion[target]["fused"][name]
            np.testing.assert_allclose(own[: len(first)], first, atol=1e-5)


def test_the_summary_is_json_with_errors_and_differences(model, triples):
    found = measure_evidence(model, triples[:3], steps=3, occluded=1)
    summary = evidence_summary(found, seed=0)
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["pairs"], summary["steps"], summary["fill"]) == (3, 3, "blur")
    own = summary["targets"]["margin"]["fused"]
    gain = found.insertion["margin"]["fused"]["relevance"] - found.deletion["margin"]["fused"]["relevance"]
    assert own["relevance"]["worth"]["mean"] == pytest.approx(gain.mean())
    assert own["relevance"]["worth"]["se"] == pytest.approx(np.std(gain, ddof=1) / np.sqrt(3))
    assert own["relevance"]["worth"]["low"] <= gain.mean() <= own["relevance"]["worth"]["high"]
    centre = found.insertion["margin"]["fused"]["centre"] - found.deletion["margin"]["fused"]["centre"]
    assert own["relevance"]["over_centre"]["mean"] == pytest.approx((gain - centre).mean())
    assert (
        own["occlusion"]["pairs"] == 1
        and own["occlusion"]["worth"]["se"] is None
        and "over_centre" not in own["centre"]
    )
    assert summary["dependence"].keys() == {"sa", "glca", "fused"}


def test_what_cannot_be_measured_is_refused(model, triples):
    with pytest.raises(dcal.DCALError, match="no pair"):
        measure_evidence(model, [])
    with pytest.raises(dcal.DCALError, match="number of patches, 15; got 16"):
        measure_evidence(model, triples[:1], steps=16)
    with pytest.raises(dcal.DCALError, match="training mode"):
        measure_evidence(model.train(), triples[:1])
    model.eval()
