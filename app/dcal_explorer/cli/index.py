"""`dcal index`: build a gallery, search one, sort its images. What they need is imported when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcal.errors import DCALError
from dcal_explorer.cli.main import meant
from dcal_explorer.cli.parsing import parsed, show_json, without_effect

if TYPE_CHECKING:
    from dcal.gallery import Ranking
    from dcal.gallery.sources import Images


ACTIONS = ("build", "search", "group")
DCAL = "dcal"  # what a collection is called unless it is named
DESCRIPTION = """Galleries: embed many images once, find the nearest to a query among them, sort them by identity.

examples:
  dcal index build my-images --checkpoint checkpoints/reid-full --out gallery
  dcal index search gallery query.jpg --checkpoint checkpoints/reid-full
  dcal index group gallery --checkpoint checkpoints/reid-full --out groups.csv
"""


def run(name: str, words: Sequence[str]) -> int:
    if words and not words[0].startswith("-") and words[0] not in ACTIONS:
        hint = meant(words[0], ACTIONS)
        raise DCALError(f"there is no {name} {words[0]!r}: {hint} `dcal {name} --help` tells what they do")
    return parsed(index, words, name, DESCRIPTION)


def index(
    action: Annotated[Build, tyro.conf.subcommand("build")]
    | Annotated[Search, tyro.conf.subcommand("search")]
    | Annotated[Group, tyro.conf.subcommand("group")],
) -> int:
    """Galleries.

    Args:
        action: what to do
    """
    return action.run()


@dataclass(frozen=True)
class Build:
    """Embed all images of a folder, or a split of a data set, into a gallery. The same command goes on after a kill."""

    checkpoint: str  # a checkpoint directory, a Hugging Face repository id, or an ONNX file of `dcal export`
    out: Path  # the gallery's folder
    images: tyro.conf.Positional[Path | None] = None  # the folder, or the data set's; the yard needs none
    pattern: str | None = None  # regular expression of the images' paths, with groups (?P<identity>…), (?P<camera>…)
    dataset: str | None = None  # which Re-ID data set, instead of a folder of any images
    split: Literal["train", "query", "gallery"] | None = None  # of the data set; gallery, if none is given
    batch_size: int = 32  # images per forward pass
    workers: int = 2  # loader processes
    device: str = "auto"  # auto: cuda when there is one, else cpu
    dtype: Literal["float32", "float16"] | None = None  # on disk; float32, if none is given; float16: cosines ±1e-4
    url: str | None = None  # put the embeddings into Milvus, http://host:19530 or FILE.db, not into the folder
    collection: str | None = None  # the gallery's name there; dcal, if none is given
    json: bool = False  # print one JSON object instead of lines

    def run(self) -> int:
        from dcal.gallery.build import build_collection, build_folder
        from dcal.gallery.milvus_collection import Collection
        from dcal.model.checkpoint import load_model
        from dcal_explorer.cli.progress import progress_bars

        if self.url is None:
            without_effect({"collection": self.collection}, "it names a gallery in a database, which --url gives")
        else:
            without_effect({"dtype": self.dtype}, "it is of embeddings on disk, and --url puts them into a database")
        images = self.found()
        for note in images.notes:
            print(f"note: {note}", file=sys.stderr)
        model, name = load_model(self.checkpoint, self.device), Path(self.checkpoint).name.removesuffix(".onnx")
        target = None if self.url is None else Collection(self.url, self.collection or DCAL)
        options = {"batch_size": self.batch_size, "workers": self.workers}
        with progress_bars() as on_progress:
            if target is None:
                built = build_folder(
                    model, images, self.out, name, dtype=self.dtype or "float32", on_progress=on_progress, **options
                )
            else:
                built = build_collection(model, images, self.out, name, target, on_progress=on_progress, **options)
        place = self.out if self.url is None else f"{self.url}, collection {self.collection or DCAL}"
        if self.json:
            show_json({"gallery": str(place), "images": built.count, "failed": dict(built.failed)})
            return 0
        print(f"{built.count:,} images in {place}")
        if built.failed:
            path = self.out / "failed.csv"
            print(
                f"{len(built.failed):,} files could not be read; {path} says why:", *list(built.failed)[:5], sep="\n  "
            )
        return 0

    def found(self) -> Images:
        from dcal.gallery.sources import dataset_images, folder_images

        if self.dataset is not None and self.pattern is not None:
            raise DCALError("a data set knows its identities and cameras: give --pattern or --dataset, not both")
        if self.dataset is not None:
            return dataset_images(self.dataset, self.images, self.split or "gallery")
        without_effect({"split": self.split}, "it is a split of a data set, which --dataset names")
        if self.images is None:
            raise DCALError("which images? Give the folder that holds them, or a --dataset")
        return folder_images(self.images, self.pattern)


@dataclass(frozen=True)
class Search:
    """Find the images of a gallery that are most similar to a query image."""

    gallery: tyro.conf.Positional[str]  # its folder, or its database: http://host:19530 or FILE.db
    query: tyro.conf.Positional[Path]  # an image file
    checkpoint: str  # the one that embedded the gallery
    top: int = 10  # how many to show
    camera: tuple[str, ...] | None = None  # only images from these cameras
    identity: tuple[str, ...] | None = None  # only images of these identities
    shows: str | None = None  # the query's identity, if it is known: then the ranking is judged
    seen_by: str | None = None  # the query's camera, if it is known: the same identity from there is not counted
    device: str = "auto"  # auto: cuda when there is one, else cpu
    collection: str | None = None  # the gallery's name in a database; dcal, if none is given
    json: bool = False  # print one JSON object instead of lines

    def run(self) -> int:
        from dcal.gallery import QueryInfo, open_gallery, rank
        from dcal.model.checkpoint import load_model

        if self.shows is None:
            without_effect({"seen_by": self.seen_by}, "a ranking is judged only if --shows names the query's identity")
        if Path(self.gallery).is_dir():
            without_effect({"collection": self.collection}, f"{self.gallery} is a folder, not a database")
        gallery = open_gallery(self.gallery, collection=self.collection or DCAL)
        model = load_model(self.checkpoint, self.device)
        known = QueryInfo(self.shows, self.seen_by)
        ranking = rank(
            gallery, self.query, model, k=self.top, known=known, cameras=self.camera, identities=self.identity
        )
        if self.json:
            show_json(ranking.to_dict())
        else:
            print(*lines(ranking), sep="\n")
        return 0


@dataclass(frozen=True)
class Group:
    """Sort a gallery's images by identity where none is known: a CSV file with a group for each image."""

    gallery: tyro.conf.Positional[str]  # its folder, or its database: http://host:19530 or FILE.db
    out: Path  # the CSV file to write
    above: float | None = None  # groups merge while so similar on average; the calibration's threshold by itself
    checkpoint: Path | None = None  # whose calibration.json has that threshold; the folder around the gallery's
    collection: str | None = None  # the gallery's name in a database; dcal, if none is given
    json: bool = False  # print one JSON object instead of lines

    def run(self) -> int:
        from dcal.gallery import open_gallery
        from dcal.gallery.groups import grouped

        if Path(self.gallery).is_dir():
            without_effect({"collection": self.collection}, f"{self.gallery} is a folder, not a database")
        gallery = open_gallery(self.gallery, collection=self.collection or DCAL, checkpoint=self.checkpoint)
        found = grouped(gallery, self.above)
        written(self.out, found.csv(gallery.items))
        if self.json:
            values = {"file": str(self.out), "images": len(gallery), "groups": found.count, "above": found.threshold}
            show_json({**values, "known": found.summary})
            return 0
        print(f"{len(gallery):,} images in {found.count:,} groups, from a similarity of {found.threshold:.3f} on")
        if (own := found.summary) is not None:
            print(
                f"{own['identities']:,} identities are known, of {own['images']:,} images: ARI {own['ari']:.3f} at "
                f"{own['threshold']:.3f}; best possible {own['best_ari']:.3f} at {own['best_threshold']:.3f}"
            )
        print(f"written: {self.out}")
        return 0


def written(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises DCALError where it cannot be written."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DCALError(f"{path} cannot be written ({error.strerror}): choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def lines(ranking: Ranking) -> Iterator[str]:
    """A ranking for people: rank, similarity, probability, identity, camera, path, and the verdict where there is one.

    Probabilities are there if the gallery's checkpoint has a calibration, and whether the query is probably new.
    """
    wide = max([len("identity"), *(len(hit.item.identity or "–") for hit in ranking.hits)])
    calibrated = any(hit.probability is not None for hit in ranking.hits)
    same = "  same" if calibrated else ""
    yield f"rank  similarity{same}  {'identity':<{wide}}  camera  path"
    for hit in ranking.hits:
        rank, item = "–" if hit.rank is None else hit.rank, hit.item
        verdict = "" if hit.verdict is None else f"  {hit.verdict}"
        who = f"{item.identity or '–':<{wide}}  {item.camera or '–':<6}"
        chance = "–" if hit.probability is None else f"{hit.probability:.0%}"
        yield f"{rank:>4}  {hit.similarity:>10.4f}{f'  {chance:>4}' if calibrated else ''}  {who}  {item.path}{verdict}"
    if ranking.probably_new:
        yield "probably not in this gallery: no image of another camera is similar enough"
    if ranking.known.identity is not None:
        found = f"AP {ranking.ap:.1%}, first match at rank {ranking.first}" if ranking.ap is not None else "no match"
        yield f"{ranking.matches} matches among {ranking.candidates:,} images: {found}"
