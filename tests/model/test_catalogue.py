"""That what is listed as a backbone is one, and what is not is none."""

from __future__ import annotations

import pytest

from dcal.errors import DCALError
from dcal.model.catalogue import fitting_models
from dcal.model.dcal import create_model


@pytest.mark.parametrize(
    "name", ["test_vit", "test_vit2", "eva02_tiny_patch14_224", "vit_tiny_r_s16_p8_224", "beit_none"]
)
def test_the_list_agrees_with_create_model(name: str):
    try:
        create_model(name, 3)
        fits = True
    except DCALError:
        fits = False
    assert (name in set(fitting_models(name))) == fits


def test_a_word_chooses():
    assert list(fitting_models("convnext")) == []
    assert list(fitting_models("deit_tiny")) == ["deit_tiny_distilled_patch16_224", "deit_tiny_patch16_224"]
