"""The configuration is all that loading needs: it survives JSON, and what is wrong in it is named."""

import dataclasses
import json

import pytest

import dcal
from dcal.model.config import ModelConfig

ODD = ModelConfig(
    backbone="vit_small_patch14_dinov2",
    num_classes=3,
    ablation="sa_glca",
    task="reid",
    img_size=(42, 28),
    top_ratio=0.3,
    readout="class",
    selection="random",
    distractor_stream="sa",
    num_sa_layers=6,
    num_glca_layers=2,
    num_pwca_layers=3,
    preprocess=dcal.Preprocess((42, 28), "crop", 0.95, (0.5, 0.4, 0.3), (0.2, 0.3, 0.1), "lanczos"),
    classes=("Zaunkönig", "鷦鷯", "wren"),
)


def test_it_survives_json():
    assert ModelConfig.from_dict(json.loads(json.dumps(ODD.to_dict()))) == ODD


def test_every_field_makes_a_difference_there():
    """ODD has no field at its default, else losing that field on the way would not be seen."""
    plain = ModelConfig(backbone="", num_classes=1)
    pairs = [(ODD, plain), (ODD.preprocess, plain.preprocess)]
    for odd, default in pairs:
        same = [f.name for f in dataclasses.fields(odd) if getattr(odd, f.name) == getattr(default, f.name)]
        assert same == []


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ODD.num_classes = 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        ODD.preprocess.size = (1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"ModelConfig has unknown fields \['colour'\].*it knows .*'backbone'"),
        ({"backbone": None}, r"ModelConfig .*lacks \['backbone'\]"),
        ({"preprocess": {"size": [42, 28], "crop": 1}}, r"Preprocess has unknown fields \['crop'\].*'crop_fraction'"),
        ({"preprocess": [42, 28]}, "Preprocess must be a JSON object, got list"),
        ({"preprocess": {"size": [28, 42]}}, r"\(28, 42\) differs from img_size \(42, 28\)"),
        ({"ablation": "both"}, "'both'.*'sa_only', 'sa_glca', 'sa_pwca', 'full'"),
        ({"task": ""}, "'fgvc', 'reid'"),
        ({"readout": "cls"}, "'mean', 'class'"),
        ({"selection": "top"}, "'rollout', 'random'"),
        ({"distractor_stream": "pwca"}, "'own', 'sa'"),
        ({"top_ratio": 0.0}, r"\(0, 1\], got 0\.0"),
        ({"num_classes": -1}, "at least 1, got -1"),
        ({"num_classes": 4}, "3 class names were given for num_classes=4"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(change, message):
    values = {name: value for name, value in {**ODD.to_dict(), **change}.items() if value is not None}
    with pytest.raises(dcal.DCALError, match=message):
        ModelConfig.from_dict(values)


def test_branches_come_in_the_order_of_the_paper_s_weights():
    assert {ablation: dcal.branches(ablation) for ablation in dcal.ABLATIONS} == {
        "sa_only": ("sa",),
        "sa_glca": ("sa", "glca"),
        "sa_pwca": ("sa", "pwca"),
        "full": ("sa", "glca", "pwca"),
    }
    assert ODD.branches == ("sa", "glca")
    with pytest.raises(dcal.DCALError, match=r"unknown ablation 'none'.*'full'"):
        dcal.branches("none")
