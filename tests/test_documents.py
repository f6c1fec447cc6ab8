"""Every command line of the documents and of the help texts is run as it stands, in order, on small generated data.

What stands in: a data set of the same layout under the name that the text uses, tiny checkpoints under the bundled
ones' names, and a tiny backbone in runs and inspections of timm's. Pages are opened by tests of their own.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import inspect
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from dcal.data.fgvc.cub import CUB
from dcal.data.reid.yard import Yard
from dcal.data.yard_table import TABLE
from dcal.evaluation.config import ANALYSED, EvalConfig
from dcal.evaluation.run import measure
from dcal.gallery.build import build_folder
from dcal.gallery.sources import folder_images
from dcal.model.ablation import ABLATIONS
from dcal.model.checkpoint import load_checkpoint, save_checkpoint
from dcal.model.dcal import create_model
from dcal.preprocess import Preprocess
from dcal_explorer.cli.main import main
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_reid import write_market, write_vehicles, write_yard
from tests.fixtures.tiny_sets import write_image

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = {  # those that stand together share a folder
    "README.md": ["README.md"],
    "docs/get-started.md": ["docs/get-started.md"],
    "docs/own-data.md": ["docs/own-data.md"],
    "others": ["docs/scale.md", "docs/backbones.md", "docs/reid.md", "docs/study.md"],
}
TORCHRUN = re.compile(r"^torchrun .*-m dcal\.train ")


def commands(text: str) -> Iterator[list[str]]:
    """The words after `dcal` of every command in a document's blocks of bash; of torchrun's, those of a training run.

    Those with a placeholder (…, HOST) are no commands yet.
    """
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            line = TORCHRUN.sub("dcal train ", line)
            if line.startswith("dcal ") and "…" not in line and "HOST" not in line:
                yield shlex.split(line, comments=True)[1:]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the names of the documents are."""
    monkeypatch.chdir(tmp_path)
    write_cub(tmp_path)
    for number, name in enumerate(("robin/1", "robin/2", "robin/3", "robin/4", "wren/1", "wren/2", "wren/3", "wren/4")):
        write_image(tmp_path / "my-images" / f"{name}.jpg", 40 + number, 50, number)
    for number, name in enumerate(
        f"{who}/{image}" for who in ("train/ann", "train/bob", "test/eve", "test/joe") for image in range(1, 5)
    ):
        write_image(tmp_path / "my-animals" / f"{name}.jpg", 60 + number, 30, number)
    (tmp_path / "my-animals" / "pattern.txt").write_text(r"(?P<split>train|test)/(?P<identity>\w+)/" + "\n")
    for number in range(4):
        write_image(tmp_path / "images" / f"{number:04d}_c{number % 2 + 1}_0.jpg", 60, 30 + number, 90 + number)
    write_market(tmp_path)
    write_vehicles(tmp_path)
    monkeypatch.setattr(Yard, "home", write_whole_yard(tmp_path / "yard"))
    for name in ("image.jpg", "query.jpg"):
        write_image(tmp_path / name, 47, 61, len(name))
    save_file(timm.create_model("deit_tiny_patch16_224").state_dict(), tmp_path / "deit_tiny.safetensors")
    checkpoints(tmp_path)
    small_runs(monkeypatch)
    return tmp_path


def checkpoints(folder: Path) -> None:
    """Tiny ones under the bundled names, evaluated, with a gallery for re-identification."""
    classes = CUB(folder / "CUB_200_2011").classes
    for ablation in ABLATIONS:
        torch.manual_seed(1)
        options: dict[str, Any] = {"ablation": ablation, "img_size": 64, "top_ratio": 0.5, "num_sa_layers": 2}
        preprocess = Preprocess(size=(64, 64))
        model = create_model("test_vit", 3, classes=classes, preprocess=preprocess, **options).eval()
        place = save_checkpoint(model, folder / "checkpoints" / f"cub50-{ablation}", metrics={"dataset": "cub"})
        measure(EvalConfig(checkpoint=str(place), data_root=folder / "CUB_200_2011", workers=0))
        model = create_model("test_vit", 3, task="reid", **options).eval()
        place = save_checkpoint(model, folder / "checkpoints" / f"reid-{ablation}")
        if ablation == "full":
            assert main(["calibrate", str(place), "yard", "--workers", "0"]) == 0
        images = folder_images(folder / "images")
        build_folder(load_checkpoint(place), images, place / "gallery", place.name, batch_size=4, workers=0)


def write_whole_yard(root: Path) -> Path:
    """Some vehicles of the yard to train on and others to test."""
    table = write_yard(root) / TABLE
    first, *rows = table.read_text().splitlines()
    place = first.split(",").index("identity")
    trained = {row.split(",")[place] for row in rows[: len(rows) // 2]}
    lines = [row.replace(",test,", ",train,") if row.split(",")[place] in trained else row for row in rows]
    table.write_text("\n".join([first, *lines]) + "\n")
    return root


def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training takes a tiny backbone for an epoch, an analysis two images; the pages note that they were opened."""
    import dcal.evaluation.run as evaluation
    import dcal.training.train as training
    from dcal_explorer.cli import faces

    original, open_evaluation = training.train, evaluation.open_evaluation

    def few(config: EvalConfig) -> evaluation.Evaluation:
        """What an analysis measures, on two images or pairs: that its numbers are right is shown in tests/analysis."""
        found = open_evaluation(config)
        sizes = {"images": 2, "images_erased": 2, "images_randomised": 2, "pairs": 2, "pairs_occluded": 1, "steps": 2}
        own: dict[str, Any] = {
            name: size for name, size in sizes.items() if ANALYSED.get(name, found.config.task) == found.config.task
        }
        if config.analysis:
            study = dataclasses.replace(found.config.study, **own)
            found.config = dataclasses.replace(found.config, study=study)
        return found

    def train(config: Any, on_progress: Any) -> Any:
        shutil.rmtree(config.folder, ignore_errors=True)  # a document gives alternatives that would share a folder
        tiny: dict[str, Any] = {"backbone": "test_vit", "pretrained": "false", "img_size": 64, "img_width": None}
        tiny |= {"epochs": 1, "batch_size": 4, "instances": 2, "workers": 0, "top_ratio": 0.5, "device": "cpu"}
        return original(dataclasses.replace(config, **tiny), on_progress)

    class Loader(DataLoader[Any]):
        """Without processes of its own, which would take longer to start than they save."""

        def __init__(self, *values: Any, **named: Any) -> None:
            super().__init__(*values, **{**named, "num_workers": 0})

    for module in ("dcal.data.validate", "dcal.evaluation.run", "dcal.gallery.embed", "dcal.training.task"):
        monkeypatch.setattr(f"{module}.DataLoader", Loader)
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(evaluation, "open_evaluation", few)
    monkeypatch.setattr(faces, "demo", lambda words: 0 if Path(words[-1]).exists() or not words else 2)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_a_document(document: str, place: Path, capsys: pytest.CaptureFixture[str]):
    for name in DOCUMENTS[document]:
        found = list(commands((ROOT / name).read_text(encoding="utf-8")))
        assert found, name
        for words in found:
            status = main(words)
            assert status == 0, f"{name}: dcal {shlex.join(words)}: {capsys.readouterr().err[-500:]}"
    if document == "docs/own-data.md":
        review(place)


def test_no_document_with_commands_is_left_out():
    run = {name for names in DOCUMENTS.values() for name in names}
    pages = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
    assert {name for name, text in pages.items() if list(commands(text))} <= run


def review(place: Path) -> None:
    """The last step of the walk with identities, in the page that its last command opens: search, say, take away."""
    checkpoints = place / "runs" / "animals"
    assert (checkpoints / "checkpoint" / "gallery").is_dir()
    callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(checkpoints), place))
    upload = {"path": str(place / "query.jpg"), "orig_name": "query.jpg", "meta": {"_type": "gradio.FileData"}}
    key, _ = callbacks.search(upload, "checkpoint")
    ranking, _ = callbacks.ranking(key, across=False, most=10)
    assert [hit["rank"] for hit in ranking["hits"]] == list(range(1, 11))
    assert callbacks.review(key, 1, "different").startswith("Kept: different. 1 answer in `gallery.reviews.jsonl`")
    with Path(callbacks.download_reviews(key)).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["image"], row["answer"]) == (callbacks.records.get(key).ranking.hits[0].item.path, "different")
    assert row["query"].startswith("upload-") and (checkpoints / "checkpoint" / "gallery.reviews.jsonl").is_file()


PROMISED = """
dcal train --task fgvc --dataset cub --data_root DIR
dcal train --task reid --dataset market1501 --data_root DIR
dcal train --task fgvc --dataset cub --batch_size 32 --epochs 150 --lr 1e-3
dcal train --task fgvc --dataset cub --ablation sa_only
dcal train --task fgvc --dataset cub --ablation sa_glca
dcal train --task fgvc --dataset cub --ablation sa_pwca
dcal train --task fgvc --dataset cub --ablation full
dcal eval --task fgvc --dataset cub --checkpoint PATH
dcal eval --task fgvc --dataset cub --checkpoint PATH --analysis --visualize
dcal visualize --checkpoint PATH --dataset cub --images a.jpg b.jpg
dcal visualize --checkpoint PATH --dataset cub --paper_figures --data_root DIR
dcal visualize --checkpoint PATH --dataset cub --interactive
"""


def test_the_promised_command_lines(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Word for word, in a folder with the data sets, a checkpoint and two images; options mean what they say."""
    import dcal.training.train as training
    from dcal_explorer.cli import faces

    begun: list[Any] = []
    opened: list[list[str]] = []
    small = training.train

    def train(config: Any, on_progress: Any) -> Any:
        begun.append(config)
        return small(config, on_progress)

    def demo(words: list[str]) -> int:
        opened.append(words)
        return 0

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(faces, "demo", demo)
    (place / "DIR").symlink_to(place)
    (place / "PATH").symlink_to(place / "checkpoints" / "cub50-full")
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(place / "image.jpg", place / name)
    for line in PROMISED.strip().splitlines():
        words = shlex.split(line)[1:]
        assert main(words) == 0, f"{line}: {capsys.readouterr().err[-500:]}"
    assert [(own.task, own.dataset) for own in begun] == [
        ("fgvc", "cub"),
        ("reid", "market1501"),
        *[("fgvc", "cub")] * 5,
    ]
    assert (begun[2].batch_size, begun[2].epochs, begun[2].learning_rate) == (32, 150, 1e-3)
    assert [own.ablation for own in begun[2:]] == ["full", "sa_only", "sa_glca", "sa_pwca", "full"]
    assert "analysis.json" in {path.name for path in (place / "PATH").iterdir()}
    drawn = {path.relative_to(place / "maps").as_posix() for path in (place / "maps").rglob("*.p*")}
    assert {"a/sa.png", "b/glca.png", "rollout.pdf", "baseline.png", "ratio.pdf", "ablations.png"} <= drawn
    assert opened == [["--checkpoint", "PATH"]]


def test_the_site_has_every_document_and_names_what_there_is():
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    listed = re.findall(r"[\w/-]+\.md", json.dumps(site["nav"]))
    made = [f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")]  # by `make site`
    assert sorted(listed) == sorted([*made, *(path.name for path in (ROOT / "docs").glob("*.md"))])
    assert site["theme"]["font"] is False
    for name in re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE):
        module, _, attribute = name.rpartition(".")
        assert inspect.getdoc(getattr(importlib.import_module(module), attribute)), name


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
PAGES = [
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "notebooks" not in path.parts),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page: Path):
    """A page of the site links to what the site holds (docs/), another to what the repository does; headings too."""
    docs = ROOT / "docs"
    within = docs if page.is_relative_to(docs) else ROOT
    wrong = []
    for link in (own or other for own, other in LINK.findall(without_code(page))):
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not (target.exists() and target.is_relative_to(within)) or (heading and heading not in headings(target)):
            wrong.append(link)
    assert not wrong


def without_code(page: Path) -> str:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "`", text)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}
