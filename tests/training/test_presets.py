"""The presets: the paper's numbers, how the command line chooses and overrides them, and the way back to a command."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from dcal.data import DATASETS, REID_DATASETS, data_sets
from dcal.data.fgvc.yard import YardModels
from dcal.data.reid.vehicles import Vehicle2Cam
from dcal.data.reid.yard import Yard
from dcal.errors import DCALError
from dcal.model.ablation import ABLATIONS
from dcal.training.command import train_command
from dcal.training.config import TrainConfig
from dcal.training.presets import (
    PRESETS,
    AircraftConfig,
    CarsConfig,
    CUB50Config,
    CUBConfig,
    DukeConfig,
    FGVCConfig,
    MarketConfig,
    MSMTConfig,
    ReIDConfig,
    SmallConfig,
    SmallReIDConfig,
    Vehicle2CamConfig,
    VeRiConfig,
    YardConfig,
    preset_for,
)
from dcal.training.task import preprocess_for
from dcal.training.train import train
from dcal_explorer.cli.main import main


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """What `dcal train` was told, in a list; nothing is trained."""
    runs: list[TrainConfig] = []
    import dcal.training.train

    monkeypatch.setattr(
        sys.modules[dcal.training.train.__name__], "train", lambda config, on_progress: runs.append(config)
    )
    return runs


@pytest.mark.parametrize("preset", [CUBConfig, CarsConfig, AircraftConfig])
def test_the_papers_recipe(preset: type[TrainConfig]):
    run = preset()
    numbers = {"img_size": 448, "epochs": 100, "batch_size": 16, "weight_decay": 0.05, "top_ratio": 0.10}
    assert {name: getattr(run, name) for name in numbers} == numbers
    assert run.label_smoothing == 0 and run.drop_path > 0 and run.ablation == "full"
    assert run.peak_rate == pytest.approx(1.5625e-5)  # 5e-4 / 512 × 16
    preprocess = preprocess_for(run)
    assert preprocess.size == (448, 448)
    assert preprocess.box_size(550, 1100) == pytest.approx((448, 896))  # squashed to 550, then 448 cut out
    assert run.preset == run.dataset and run.dataset in DATASETS


@pytest.mark.parametrize("preset", [MarketConfig, DukeConfig, MSMTConfig, VeRiConfig])
def test_the_papers_recipe_for_re_identification(preset: type[ReIDConfig]):
    run = preset()
    numbers: dict[str, Any] = {
        "epochs": 120,
        "batch_size": 64,
        "instances": 4,
        "learning_rate": 0.008,
        "weight_decay": 1e-4,
    }
    numbers |= {"momentum": 0.9, "top_ratio": 0.30, "triplet": 1.0, "optimizer": "sgd", "task": "reid"}
    assert {name: getattr(run, name) for name in numbers} == numbers
    assert run.size == preprocess_for(run).size == REID_DATASETS[run.dataset].image_size
    assert preprocess_for(run).box_size(100, 60) == (100, 60)  # nothing is cut off
    assert run.preset == run.dataset


def test_a_vehicle_of_two_images_is_not_shown_twice():
    run = Vehicle2CamConfig()
    assert run.size == Vehicle2Cam.image_size == (256, 256)
    assert (run.instances, run.batch_size, run.epochs) == (2, 64, 120)


def test_the_yard_lies_with_the_package():
    assert YardConfig().root == Yard.home == YardModels.home == TrainConfig(dataset="yard").root
    assert YardConfig(data_root=Path("elsewhere")).root == Path("elsewhere")
    run = YardConfig(also="vehicle2cam", also_root=Path("roads"))
    assert run.sources == [("yard", Yard.home), ("vehicle2cam", Path("roads"))]


def subclasses(of: type[TrainConfig]) -> Iterator[type[TrainConfig]]:
    for own in of.__subclasses__():
        yield own
        yield from subclasses(own)


def test_a_preset_in_python():
    run = CUBConfig(batch_size=32, learning_rate=1e-3, top_ratio=0.15)
    assert (run.batch_size, run.peak_rate, run.top_ratio, run.img_size) == (32, 1e-3, 0.15, 448)
    assert run.folder == Path("runs/cub-full-s0")
    assert CUB50Config(ablation="sa_only", seed=3).folder == Path("runs/cub50-sa_only-s3")
    assert ReIDConfig(dataset="reid-csv").folder == Path("runs/reid-reid-csv-full-s0")
    assert TrainConfig(out=Path("elsewhere")).folder == Path("elsewhere")
    with pytest.raises(DCALError, match=r"data_root .* not set.*: give the folder that holds 'cub'"):
        _ = run.root
    folders = {"data_root": "birds", "out": "run", "also_root": "roads"}
    given = MarketConfig(also="veri776")
    for name, folder in folders.items():
        setattr(given, name, folder)
    assert given == MarketConfig(also="veri776", **{name: Path(folder) for name, folder in folders.items()})
    assert all(PRESETS[name].preset == name for name in PRESETS)
    assert set(PRESETS.values()) == set(subclasses(TrainConfig))


def test_a_configuration_is_edited_until_a_run_takes_it(tmp_path: Path):
    config = CUBConfig()
    config.batch_size = 32
    config.learning_rate = 1e-3
    config.top_k_ratio = 0.15
    config.num_epochs = 7
    expected = CUBConfig(batch_size=32, learning_rate=1e-3, top_ratio=0.15, epochs=7)
    assert config == expected and (config.lr, config.num_epochs, config.top_k_ratio) == (1e-3, 7, 0.15)
    config.data_root = str(tmp_path)  # type: ignore[assignment]  # a string becomes a path
    with pytest.raises(DCALError, match=r"lacks images\.txt"):
        train(config)
    with pytest.raises(DCALError, match="a run has been started with this configuration"):
        config.lr = 0.1
    assert config.lr == 1e-3
    assert dataclasses.replace(config, epochs=3).epochs == 3


@pytest.mark.parametrize("name", ["batchsize", "num_epoch", "top_ration"])
def test_a_field_that_there_is_not(name: str):
    with pytest.raises(DCALError, match=f"CUBConfig has no field '{name}': write "):
        setattr(CUBConfig(), name, 3)
    unknown: dict[str, Any] = {name: 3}
    with pytest.raises(DCALError, match=f"CUBConfig has no field '{name}': write "):
        CUBConfig(**unknown)
    with pytest.raises(DCALError, match="has no field 'num_epochs': write epochs"):
        CUBConfig(num_epochs=3)  # type: ignore[call-arg]


def test_a_run_checks_what_was_edited(tmp_path: Path):
    config = MarketConfig(data_root=tmp_path)
    config.batch_size = 30
    with pytest.raises(DCALError, match="a batch of 30 cannot hold identities of 4 images"):
        train(config)
    config.batch_size = 32  # nothing was started
    config.check()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--num_sa_layers 6 --num_glca_layers 2 --num_pwca_layers 3", (6, 2, 3, True)),
        ("--use_uncertainty_weighting False", (None, 1, None, False)),
        ("--use-uncertainty-weighting=true", (None, 1, None, True)),
        ("--use_uncertainty_weighting --seed 3", (None, 1, None, True)),
        ("--no-use-uncertainty-weighting", (None, 1, None, False)),
    ],
)
def test_layers_and_weighting_on_the_command_line(told: list[TrainConfig], words: str, expected: tuple[Any, ...]):
    assert main(["train", *words.split()]) == 0
    run = told[0]
    assert (run.num_sa_layers, run.num_glca_layers, run.num_pwca_layers, run.use_uncertainty_weighting) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", CUBConfig()),
        ("--task fgvc --dataset cub --data-root birds --ablation full", CUBConfig(data_root=Path("birds"))),
        ("--dataset=cars --img-size 224", CarsConfig(img_size=224)),
        ("--preset cub50 --seed 3", CUB50Config(seed=3)),
        ("--epochs 7 --preset=cub50 --learning-rate None", CUB50Config(epochs=7, learning_rate=None)),
        ("--preset cub50 --dataset aircraft", CUB50Config(dataset="aircraft")),
        ("--dataset csv --epochs 5", FGVCConfig(dataset="csv", epochs=5)),
        ("--task reid --dataset veri776", VeRiConfig()),
        ("--dataset market1501 --also vehicle2cam", MarketConfig(also="vehicle2cam")),
        ("--dataset reid-csv", ReIDConfig(dataset="reid-csv")),
        ("--task reid --dataset vehicle2cam", Vehicle2CamConfig()),
        ("--task reid --dataset reid-folder --img-width 256", ReIDConfig(dataset="reid-folder", img_width=256)),
        ("--dataset yard", YardConfig()),
        ("--task fgvc --dataset yard", FGVCConfig(dataset="yard")),
    ],
)
def test_the_command_line_chooses_and_overrides(told: list[TrainConfig], words: str, expected: TrainConfig):
    assert main(["train", *words.split()]) == 0
    assert told == [expected] and type(told[0]) is type(expected)


# Another value of every field than its default; a field added later must be added here.
OTHERS: dict[str, Any] = {
    **{"data_root": Path("birds"), "out": Path("run"), "task": "fgvc", "dataset": "aircraft", "backbone": "test_vit"},
    **{"pretrained": "weights.safetensors", "ablation": "sa_pwca", "img_size": 96, "crop_fraction": 0.5},
    **{"top_ratio": 0.2, "readout": "class", "selection": "random", "distractor_stream": "sa", "epochs": 3},
    **{
        "batch_size": 6,
        "accumulate": 3,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "head_rate": 2.0,
        "layer_decay": 0.5,
    },
    **{"loss_weight_rate": 9.0, "warmup_epochs": 0.5, "drop_path": 0.0, "label_smoothing": 0.2, "val_fraction": 0.25},
    **{"eval_every": 1, "log_every": 2, "save_every": 4, "seed": 5, "workers": 0, "device": "cpu", "amp": "bf16"},
    **{
        "ema": 0.9,
        "compile": True,
        "channels_last": True,
        "wandb": "birds",
        "trackio": "birds",
        "img_width": 48,
        "instances": 3,
    },
    **{"optimizer": "sgd", "momentum": 0.5, "num_sa_layers": 6, "num_glca_layers": 2, "num_pwca_layers": 3},
    **{"use_uncertainty_weighting": False, "check_images": False},
}
OTHERS_REID = {  # and what only re-identification has
    **OTHERS,
    **{"task": "reid", "dataset": "reid-csv", "also": "reid-folder", "also_root": Path("roads"), "triplet": 0.5},
    **{"optimizer": "adamw", "momentum": 0.8, "one_camera": True, "triplet_margin": 0.3, "val_by_date": True},
}


@pytest.mark.parametrize("preset", [TrainConfig, *PRESETS.values()])
def test_the_command_that_a_run_states_repeats_it(told: list[TrainConfig], preset: type[TrainConfig]):
    assert OTHERS_REID.keys() | {"resume"} == {field.name for field in dataclasses.fields(TrainConfig)}
    others = OTHERS_REID if preset().task == "reid" else OTHERS
    same_dataset = {name: value for name, value in others.items() if name != "dataset"}
    for run in (preset(), preset(**others), preset(**same_dataset), preset(seed=7)):
        words = shlex.split(train_command(run))
        assert words[:2] == ["dcal", "train"] and main(words[1:]) == 0
        assert dataclasses.asdict(told.pop()) == dataclasses.asdict(run)


@pytest.mark.parametrize("task", ["fgvc", "reid"])
@pytest.mark.parametrize("preset", [TrainConfig, *PRESETS.values()])
def test_the_command_is_right_for_any_class_and_any_data_set(
    told: list[TrainConfig], preset: type[TrainConfig], task: Literal["fgvc", "reid"]
):
    """The command line finds a preset by the data set, which may be another than the configuration's class."""
    for dataset in data_sets(task):
        fitting: dict[str, Any] = {} if task == "reid" else {"triplet": 0.0}
        fitting |= {"task": task}
        run = preset(dataset=dataset, **fitting)
        assert main(shlex.split(train_command(run))[1:]) == 0
        assert dataclasses.asdict(told.pop()) == dataclasses.asdict(run)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("--dataset market1501", (256, 128)),
        ("--dataset market1501 --img-size 160", (160, 160)),
        ("--dataset market1501 --img-size 160 80", (160, 80)),
        ("--dataset market1501 --img_size 160 --img_width 64", (160, 64)),
        ("--dataset yard", (256, 256)),
        ("--dataset cub --img-size 160", (160, 160)),
        ("--dataset cub --img-size 160 --img-width 80", (160, 80)),
    ],
)
def test_one_number_is_a_square(told: list[TrainConfig], words: str, size: tuple[int, int]):
    assert main(["train", *words.split()]) == 0
    assert told[0].size == size == preprocess_for(told[0]).size


@pytest.mark.parametrize("value", [True, False, Path("weights.safetensors"), "true", "False", "weights.safetensors"])
def test_pretrained_as_create_model_takes_it(told: list[TrainConfig], value: bool | str | Path):
    run = CUBConfig(pretrained=value)
    words: dict[str, bool] = {"true": True, "False": False}
    assert run.weights == (value if isinstance(value, bool) else words.get(str(value), str(value)))
    assert dataclasses.replace(run, epochs=3).weights == run.weights
    assert main(shlex.split(train_command(run))[1:]) == 0
    assert told[0].weights == run.weights


def test_the_data_sets_size_chooses_a_preset(
    told: list[TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_csv(tmp_path, 3)
    line = ["train", "--dataset", "csv", "--data-root", str(tmp_path)]
    assert main(line) == 0
    assert told.pop() == SmallConfig(dataset="csv", data_root=tmp_path, batch_size=3)
    said = "preset small: 3 images to train on, which fill a batch of 3 (--preset fgvc: the paper's recipe)"
    assert said in capsys.readouterr().err
    assert main([*line, "--batch-size", "2"]) == 0
    assert told.pop().batch_size == 2 and "images to train on (--preset" in capsys.readouterr().err
    assert main([*line, "--preset", "fgvc"]) == 0
    assert told.pop() == FGVCConfig(dataset="csv", data_root=tmp_path)
    assert preset_for(dataset="reid-csv", images=4999, identities=16) == SmallReIDConfig()
    assert preset_for(dataset="reid-csv", images=90, identities=15) == SmallReIDConfig(batch_size=30)
    assert preset_for(dataset="reid-csv", images=5000) == ReIDConfig()
    assert preset_for(dataset="cub", images=7) == CUBConfig()


def write_csv(folder: Path, images: int) -> None:
    """A list of images of two classes to train on and to test."""
    rows = [f"{split}{index}.png,{index % 2},{split}" for split in ("train", "test") for index in range(images)]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    for row in rows:
        (folder / row.split(",")[0]).touch()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--task fgvc --dataset cub --data_root DIR", CUBConfig(data_root=Path("DIR"))),
        ("--task reid --dataset market1501 --data_root DIR", MarketConfig(data_root=Path("DIR"))),
        (
            "--task fgvc --dataset cub --batch_size 32 --epochs 150 --lr 1e-3",
            CUBConfig(batch_size=32, epochs=150, learning_rate=1e-3),
        ),
        *((f"--task fgvc --dataset cub --ablation {name}", CUBConfig(ablation=name)) for name in ABLATIONS),
    ],
)
def test_spellings_of_other_implementations(told: list[TrainConfig], words: str, expected: TrainConfig):
    assert main(["train", *words.split()]) == 0
    assert told == [expected]


def test_a_published_command_has_no_folders():
    run = CUB50Config(data_root=Path("/home/somebody/birds"), out=Path("/scratch/run"), resume=True)
    assert train_command(run) == "dcal train --preset cub50 --data-root birds --out run"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0, got 0.0"),
        ({"dataset": "planes"}, "unknown dataset 'planes': choose one of 'cub', "),
        ({"dataset": "market1501"}, "unknown dataset 'market1501': choose one of 'cub', "),
        ({"triplet": 1.0}, "triplet, also and one_camera belong to --task reid"),
        ({"drop_path": 2.0}, r"drop_path must lie in \[0, 1\), got 2.0"),
        ({"label_smoothing": -0.1}, r"label_smoothing must lie in \[0, 1\), got -0.1"),
        ({"num_glca_layers": 0}, "num_glca_layers must be at least 1, got 0"),
        ({"task": "reid", "dataset": "yard", "triplet_margin": 0.3}, "triplet_margin 0.3 has no effect: set triplet"),
        ({"img_width": 0}, "img_width must be greater than 0, got 0"),
        ({"task": "reid", "dataset": "yard", "also": "yard"}, "also names 'yard' again"),
        ({"task": "reid", "dataset": "yard", "batch_size": 30}, "a batch of 30 cannot hold identities of 4 images"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], message: str):
    with pytest.raises(DCALError, match=message):
        CUBConfig(**changes)
