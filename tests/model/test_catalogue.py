"""That what is listed as a backbone is one, and what is not is none."""

from __future__ import annotations

import pytest
import timm

from dcal.errors import DCALError
from dcal.model.backbone import similar_names
from dcal.model.catalogue import MODULES, fitting_models, natural_size, transformers
from dcal.model.dcal import create_model
from dcal_explorer.cli.models import models


def test_most_of_timm_s_vision_transformers_fit():
    """At least 290, of the 297 that the README counts. Those that do not fit have other blocks."""
    found = dict(fitting_models())
    assert len(found) >= 290
    others = {name for module in MODULES for name in timm.list_models(module=module)} - found.keys()
    assert all(any(part in name for part in ("18x2", "_xp_", "wee_", "dlittle_")) for name in others), others
    assert found["vit_so400m_patch14_siglip_384"] == (378, 378), "the nearest that patches of 14 pixels divide"


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "vit_tiny_r_s16_p8_224", "test_vit_relpos", "beit_none"])
def test_the_list_agrees_with_create_model(name: str):
    try:
        create_model(name, 3, img_size=natural_size(name))
        fits = True
    except DCALError:
        fits = False
    assert (name in dict(fitting_models(name))) == fits


def test_a_word_chooses():
    assert list(fitting_models("convnext")) == []
    assert [name for name, _ in fitting_models("deit_tiny")] == [
        "deit_tiny_distilled_patch16_224",
        "deit_tiny_patch16_224",
    ]


def test_the_shortest_name_that_begins_like_it_is_proposed_first():
    assert similar_names("deit_tiny", timm.list_models())[0] == "deit_tiny_patch16_224"
    assert similar_names("deit_tiny_patch16_244", timm.list_models())[0] == "deit_tiny_patch16_224"
    assert similar_names("", timm.list_models()) == []
    assert similar_names("zzzzqq", timm.list_models()) == []


def test_a_misspelled_word_is_answered_with_names_that_fit():
    assert similar_names("deit_tny", transformers())[0] == "deit_tiny_patch16_224"
    with pytest.raises(DCALError, match="similar names: vit_7b_patch16_dinov3, "):
        models("dinvo3")
