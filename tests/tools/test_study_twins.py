"""Training on twins: which images make a batch, and what the loss compares."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from dcal.data.reid.yard import Yard
from dcal.errors import DCALError
from tools.study.twins import SHARPNESS, Study, arguments, batch_of, seen_pairs, twin_loss


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


def test_a_run_steps_on_real_and_made_twins_goes_on_and_refuses_other_options(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "weights.safetensors")
    given = ["--pretrained", str(tmp_path / "weights.safetensors"), "--backbone", "test_vit", "--size", "32"]
    run = [*given, "--pairs", "2", "--steps", "20", "--out", str(tmp_path / "run")]
    (tmp_path / "run").mkdir()
    study = Study(arguments([*run, "--altered", "1", "--parts", "1"]))
    first, second = study.step(), study.step()
    assert set(first) == {"identities", "twins", "parts"} and set(second) == {"altered", "parts"}
    views, masks, _ = study.altered_batch(np.random.default_rng(0))
    assert len(views) == len(masks) == 8 and views[0].shape == (32, 32, 3) and masks[0].shape == (32, 32)
    study.keep()
    again = Study(arguments([*run, "--altered", "1", "--parts", "1"]))
    assert again.done == 2 and again.step() == study.step()
    with pytest.raises(DCALError, match="altered was '1', now '2'"):
        Study(arguments([*run, "--altered", "2"]))
    begun = Study(arguments([*given, "--out", str(tmp_path / "other"), "--start", str(tmp_path / "run/last.pt")]))
    assert begun.done == 0
    stored = torch.load(tmp_path / "run/last.pt", weights_only=True)["model"]
    assert all(torch.equal(value, stored[name]) for name, value in begun.model.state_dict().items())


def test_too_few_steps_are_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        arguments(["--pretrained", "weights", "--out", str(tmp_path), "--steps", "19"])
    assert "--steps must be at least 20" in capsys.readouterr().err
