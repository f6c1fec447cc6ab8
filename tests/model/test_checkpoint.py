"""Checkpoints: what is saved comes back, whole or not at all; what does not fit is named; the fingerprint."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

import dcal
from dcal.gallery.reviews import Review, Reviews
from dcal.model import checkpoint
from tests.fixtures.oracles import randomise
from tests.fixtures.tiny_sets import write_image

NAMES = ("Zaunkönig", "鷦鷯", "wren | robin")
SIZE = (32, 48)


def a_model(seed: int = 1, **options) -> dcal.DCAL:
    preprocess = dcal.Preprocess(SIZE, crop_fraction=0.9)
    model = dcal.create_model("test_vit", 3, img_size=SIZE, classes=NAMES, preprocess=preprocess, **options)
    randomise(model, seed)
    return model


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return a_model()


@pytest.fixture
def saved(model, tmp_path) -> Path:
    return dcal.save(model, tmp_path / "runs" / "mine", metrics={"top-1": 0.8127, "seed": 3})


# -- there and back --


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "options", [{"ablation": "sa_only"}, {"task": "reid", "top_ratio": 0.3, "readout": "class"}], ids=["plain", "reid"]
)
def test_what_is_saved_comes_back(options, dtype, tmp_path):
    model = a_model(**options).train()
    model(torch.randn(4, 3, *SIZE))  # a neck's running statistics are part of the model
    loaded = dcal.load(dcal.save(model, tmp_path / "mine", dtype=dtype))
    assert loaded.config == model.config
    assert not loaded.training
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    kept, got, stored = model.state_dict(), loaded.state_dict(), load_file(tmp_path / "mine" / "model.safetensors")
    assert list(kept) == list(got)
    assert set(kept) == set(stored)
    for name, tensor in kept.items():
        wanted = tensor.to(dtype) if tensor.is_floating_point() else tensor  # a count stays a count
        assert stored[name].dtype == wanted.dtype, name
        assert torch.equal(got[name], wanted.to(tensor.dtype)), name


def test_a_loaded_model_answers_the_same(model, tmp_path):
    images, partner = torch.randn(4, 3, *SIZE), torch.tensor([1, 0, 3, 2])
    loaded = dcal.load(str(dcal.save(model, str(tmp_path / "mine"), dtype=torch.float32)))
    wanted, got = model.eval()(images, partner), loaded(images, partner)
    for branch in ("sa", "glca", "pwca"):
        assert torch.equal(getattr(got, f"{branch}_logits"), getattr(wanted, f"{branch}_logits"))
    assert torch.equal(got.selected, wanted.selected)


def test_configuration_and_metrics_can_be_read_alone(model, saved):
    assert dcal.read_config(saved) == model.config
    assert dcal.read_metrics(saved) == {"top-1": 0.8127, "seed": 3}
    (saved / "metrics.json").unlink()
    assert dcal.read_metrics(saved) == {}


def test_saving_again_replaces_all(model, saved):
    (saved / "evaluation.json").write_text("from before")
    other = a_model(2, ablation="sa_pwca")
    assert dcal.save(other, saved) == saved
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    assert dcal.load(saved).config.ablation == "sa_pwca"
    assert [path.name for path in saved.parent.iterdir()] == ["mine"], "nothing else is left behind"


def test_everybody_may_read_what_is_saved(saved):
    """safetensors and tempfile make things for their owner alone; a server may run as somebody else."""
    assert saved.stat().st_mode & 0o777 == 0o755
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in saved.iterdir())


# -- whole or not at all --


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()], ids=["failure", "interrupt"])
@pytest.mark.parametrize("at", [1, 2])
def test_the_old_checkpoint_survives_a_failed_rename(at, failure, saved, monkeypatch):
    before, renames, rename = contents(saved.parent), [], Path.rename

    def failing(self: Path, target: Path) -> Path:
        renames.append(target)
        if len(renames) == at:
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(type(failure)):
        dcal.save(a_model(2), saved)
    assert contents(saved.parent) == before


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "metrics.json", "README.md"])
def test_the_old_checkpoint_survives_a_failure_while_writing(file, saved, monkeypatch):
    before = contents(saved.parent)
    broken = {"model.safetensors": "save_file", "config.json": "_write_json", "README.md": "model_card"}
    if file in broken:
        monkeypatch.setattr(checkpoint, broken[file], raising)
    with pytest.raises((OSError, TypeError)):
        dcal.save(a_model(2), saved, metrics={"classes": {1, 2}})  # a set is not JSON
    assert contents(saved.parent) == before


def raising(*_: object, **__: object) -> None:
    raise OSError("disk full")


def test_a_kill_before_the_rename_leaves_the_old_checkpoint(model, saved, monkeypatch):
    """A killed process tidies nothing up: neither the exception handlers nor the removal of what was half written."""
    wanted = dcal.load(saved).state_dict()
    monkeypatch.setattr(checkpoint, "swap", raising)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(OSError, match="disk full"):
        dcal.save(a_model(2), saved)
    monkeypatch.undo()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in dcal.load(saved).state_dict().items())
    dcal.save(a_model(2), saved)
    assert torch.equal(dcal.load(saved).backbone.norm.weight, a_model(2).backbone.norm.weight.half().float())


def test_what_a_killed_process_of_the_same_number_set_aside_is_no_obstacle(saved, monkeypatch):
    """In a container every run may have process number 1."""
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    dcal.save(a_model(2), saved)
    dcal.save(a_model(3), saved)
    assert torch.equal(dcal.load(saved).backbone.norm.weight, a_model(3).backbone.norm.weight.half().float())


def test_what_people_answered_is_never_replaced(model, saved):
    (saved / "gallery").mkdir()
    Reviews(saved / "gallery").add(Review("a.jpg", "b.jpg", "same"))
    before = contents(saved)
    with pytest.raises(
        dcal.CheckpointError, match=r"what people answered about its gallery \(gallery\.reviews\.jsonl\)"
    ):
        dcal.save(model, saved)
    assert contents(saved) == before
    (saved / "gallery.reviews.jsonl").rename(saved.parent / "kept.jsonl")
    assert dcal.save(model, saved) == saved


def test_only_a_checkpoint_is_ever_replaced(model, saved):
    """Saving into the folder of all checkpoints, a slip of one word, would remove them."""
    before = contents(saved.parent)
    with pytest.raises(dcal.CheckpointError, match=r"runs.* is no checkpoint's own directory.*mine"):
        dcal.save(model, saved.parent)
    with pytest.raises(dcal.CheckpointError, match="is a file"):
        dcal.save(model, saved / "README.md")
    assert contents(saved.parent) == before
    (saved.parent / "empty").mkdir()
    assert dcal.save(model, saved.parent / "empty").is_dir()
    (saved / "thesis.tex").write_text("ten years")
    with pytest.raises(dcal.CheckpointError, match=r"would remove what it holds \(thesis\.tex\): give another one"):
        dcal.save(model, saved)
    assert (saved / "thesis.tex").read_text() == "ten years"
    (saved / "thesis.tex").unlink()
    for name in ("evaluation.json", "analysis.json"):
        (saved / name).write_text("{}")
    dcal.save(model, saved)
    assert not (saved / "analysis.json").exists()  # it was another model's


# -- the card --


def test_the_card_is_valid_for_the_hub(model, tmp_path):
    metrics = {"top-1": 0.81266, "images": 1389, "per branch": {"sa": 0.8}, "data | split": "official | test"}
    text = (
        dcal.save(model, tmp_path / "cub50-full", metrics, card={"Command": "dcal train"}) / "README.md"
    ).read_text()
    card = ModelCard(text)
    assert card.data.library_name == "dcal"
    assert card.data.pipeline_tag == "image-classification"
    assert "attention-rollout" in card.data.tags
    for line in (
        "| top-1 | 0.8127 |",
        "| images | 1389 |",
        '| per branch | {"sa": 0.8} |',
        "## Command\n\ndcal train\n",
    ):
        assert line in text
    assert r"official \| test" in text
    assert r"| data \| split |" in text
    assert 'dcal.load("cub50-full")' in text
    assert "32×48 px, 3 classes, R = 10%" in text


@pytest.mark.parametrize("task", ["fgvc", "reid"])
def test_the_card_s_code_runs_as_it_stands(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (dcal.save(a_model(task=task), Path("runs") / "mine") / "README.md").read_text()
    for number, name in enumerate(("image.jpg", "query.jpg", "other.jpg")):
        write_image(tmp_path / name, 40 + number, 50, number)
    names: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], names)
    assert names["inspection"].probabilities.shape == (3,) if task == "fgvc" else names["match"].similarity <= 1


def test_the_card_of_a_model_without_glca_does_not_speak_of_it(tmp_path):
    text = (dcal.save(a_model(ablation="sa_only"), tmp_path / "plain") / "README.md").read_text()
    assert "R = " not in text
    assert "Measured" not in text, "nothing was"
    reid = (dcal.save(a_model(task="reid"), tmp_path / "reid") / "README.md").read_text()
    assert ModelCard(reid).data.pipeline_tag == "image-feature-extraction"


# -- what does not fit --


def edit(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in values.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablation": "sa_only"}, r"0 tensors missing.*16 unexpected \['glca"),
        ({"backbone": "vit_tiny_patch16_224"}, r"72 tensors missing.*of another shape"),
        ({"num_classes": 4, "classes": []}, r"4 of another shape.*\(3,\) in the file, \(4,\) by the config"),
        ({"task": "reid"}, r"12 tensors missing.*4 unexpected \['backbone\.head\.bias"),
        ({"format": 2}, "format 2; this release reads format 1"),
        ({"format": None}, "'format'"),
        ({"backbone": None}, r"lacks \['backbone'\]"),
        ({"colour": 1}, r"unknown fields \['colour'\]"),
        ({"top_ratio": 7.0}, r"\(0, 1\], got 7\.0"),
        ({"num_classes": "three"}, "is not a configuration of ours"),
        ({"img_size": [32]}, "is not a configuration of ours"),
        ({"preprocess": 5}, "JSON object, got int"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_configuration_that_does_not_fit(changes, message, saved):
    edit(saved, **changes)
    with pytest.raises(dcal.CheckpointError, match=message):
        dcal.load(saved)


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe{}"])
def test_a_configuration_that_is_none(text, saved):
    (saved / "config.json").write_bytes(text)
    with pytest.raises(dcal.CheckpointError, match=r"config\.json is not a configuration of ours"):
        dcal.load(saved)


def test_what_is_missing_is_named(saved, tmp_path):
    (saved / "model.safetensors").rename(saved / "elsewhere")
    with pytest.raises(dcal.CheckpointError, match=r"no weights at .*mine/model\.safetensors"):
        dcal.load(saved)
    (saved / "config.json").unlink()
    with pytest.raises(dcal.CheckpointError, match=r"mine is no checkpoint: there is no config\.json"):
        dcal.load(saved)
    for nothing in (tmp_path / "nothing", Path("nothing")):
        with pytest.raises(dcal.CheckpointError, match=r"no checkpoint directory '.*nothing'"):
            dcal.load(nothing)


def test_a_repository_that_cannot_be_reached():
    with pytest.raises(dcal.CheckpointError, match=r"no directory 'nobody/nothing', and the Hugging Face hub"):
        dcal.load("nobody/nothing")


def test_weights_that_are_no_safetensors(model, saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(dcal.CheckpointError, match="not a complete safetensors file"):
        dcal.load(saved)
    torch.save(model.state_dict(), path)
    with pytest.raises(dcal.CheckpointError, match=r"not a complete safetensors file.*pickled"):
        dcal.load(saved)


# -- the fingerprint --


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_fingerprint_is_the_file_s_hash(dtype, model, tmp_path):
    path = dcal.save(model, tmp_path / "mine", dtype=dtype) / "model.safetensors"
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = dcal.load(tmp_path / "mine")
    assert dcal.fingerprint(loaded) == wanted
    assert dcal.fingerprint(loaded.double()) == wanted, "moved and converted, the weights are still the same"
    assert (dcal.fingerprint(model) == wanted) == (dtype == torch.float32), "what rounding changed is another model"


def test_fingerprint_changes_with_the_weights_and_only_with_them(model, saved):
    loaded = dcal.load(saved)
    first = dcal.fingerprint(loaded)
    loaded.train()(torch.randn(2, 3, *SIZE))
    assert dcal.fingerprint(loaded) == first
    with torch.no_grad():
        loaded.glca_classifier.bias[1] += 1e-7
    second = dcal.fingerprint(loaded)
    optimizer = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded(torch.randn(2, 3, *SIZE)).sa_logits.sum().backward()
    optimizer.step()
    third = dcal.fingerprint(loaded)
    loaded.backbone.norm.weight = as_often_written(torch.ones(64), loaded.backbone.norm.weight)
    fourth = dcal.fingerprint(loaded)
    assert len({first, second, third, fourth}) == 4
    loaded.load_state_dict(dcal.load(saved).state_dict())
    assert dcal.fingerprint(loaded) == first


def as_often_written(tensor: torch.Tensor, other: torch.Tensor) -> torch.nn.Parameter:
    """A parameter that only its place in memory tells from `other`, not how often torch saw it written to."""
    with torch.no_grad():
        while tensor._version < other._version:
            tensor.mul_(1)
    return torch.nn.Parameter(tensor)


def test_fingerprint_of_a_file_written_by_others(model, saved):
    """Another order of tensors or other metadata make another file, and its hash is the one that `sha256sum` gives."""
    path = saved / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "by": "somebody else"})
    assert dcal.fingerprint(dcal.load(saved)) == hashlib.sha256(path.read_bytes()).hexdigest()
