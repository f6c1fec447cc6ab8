"""Embeddings of many images are the model's own, an image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcal.errors import DCALError
from dcal.model.ablation import ABLATIONS
from dcal.model.dcal import create_model
from dcal.model.embeddings import embed


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_an_images_embedding_does_not_depend_on_its_batch(ablation: str):
    torch.manual_seed(3)
    model = create_model("test_vit", 7, ablation=ablation, img_size=(32, 48), task="reid", top_ratio=0.3).eval()
    images = torch.randn(5, 3, 32, 48)
    found = embed(model, images.split(2))
    alone = torch.cat([model(image[None]).embedding for image in images])
    np.testing.assert_allclose(found.joined, alone.detach().numpy(), atol=1e-6)
    assert list(found.branches()) == ["joined", "sa", *(["glca"] if "glca" in ablation or ablation == "full" else [])]
    for part in (found.sa, found.glca):
        assert part is None or np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-6)


def test_training_mode_and_nothing_are_refused():
    model = create_model("test_vit", 7, img_size=32, task="reid")
    with pytest.raises(DCALError, match="training mode"):
        embed(model, [torch.randn(2, 3, 32, 32)])
    with pytest.raises(DCALError, match="no batch"):
        embed(model.eval(), [])
