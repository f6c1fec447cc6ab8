"""Training on twins: which images make a batch, and what the loss compares."""

import numpy as np
import pytest
import torch

from dcal.data.reid.yard import Yard
from tools.study.twins import SHARPNESS, batch_of, seen_pairs, twin_loss


def test_a_batch_holds_both_twins_by_the_same_two_cameras_where_the_part_shows():
    records = Yard(split="train").records
    pairs = seen_pairs(records)
    assert 30 <= len(pairs) <= 40
    chosen = [records[index] for index in batch_of(pairs, 8, np.random.default_rng(0))]
    assert len(chosen) == 32 and all(record.visible for record in chosen)
    for start in range(0, 32, 4):
        first, twin, other, its_twin = chosen[start : start + 4]
        assert first.identity == other.identity == twin.twin == its_twin.twin
        assert first.camera == twin.camera != other.camera == its_twin.camera


def test_the_loss_is_of_each_image_against_its_own_and_its_twins_by_the_other_camera():
    embeddings = torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    terms = []
    for start in range(0, 12, 4):
        for own, same, other in ((0, 2, 3), (1, 3, 2), (2, 0, 1), (3, 1, 0)):
            gap = unit[start + own] @ unit[start + other] - unit[start + own] @ unit[start + same]
            terms.append(torch.log1p(torch.exp(SHARPNESS * gap)))
    assert twin_loss(embeddings).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-8)
