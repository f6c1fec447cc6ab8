"""What other programs call as tools: every call names its image and its checkpoint, and keeps nothing on the server.

The endpoints of the page draw from a session's record; a tool's caller has no session. Places count from 1 here.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import html
import json
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import gradio as gr

from dcal import DCALError, draw
from dcal.analysis.record_agreement import map_of
from dcal.errors import check_choice
from dcal.files import write_whole
from dcal_explorer.content import captions, compare_captions
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import COMPARED_SIDE, RGB, InspectCallbacks
from dcal_explorer.demo.callbacks.model_maps import ModelMapCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.inputs import checked_text, checked_upload
from dcal_explorer.demo.uploads import UploadLimits

SERVED = "/gradio_api/file="  # in the address that the server gives an upload
LARGEST = 20_000_000  # bytes of an image in a data: address, as of an upload
WHICH = (
    "Name one of the samples that list_checkpoints lists, or what this server's /gradio_api/upload answered (a path or "
    "its address), or give the file itself as a data: address in base64."
)
FAILED = "The server failed at this call ({}); its log says more."
MAPS = ("rollout", "heads", "glca", "selection", "relevance")
CLICKS = re.compile(r" ?\*Click [^*]*\*")
P = ParamSpec("P")
R = TypeVar("R")


class ToolError(gr.Error):
    """What was wrong with a call, as a sentence: gradio's own errors read as Python's representation of one."""

    def __str__(self) -> str:
        return self.message


def tool(function: Callable[P, R]) -> Callable[P, R]:
    """A tool: errors of ours are its answer, and those that are not are told in the log alone."""

    @gr.mcp.tool()
    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except gr.Error as error:
            raise ToolError(html.unescape(error.message), print_exception=False) from error
        except DCALError as error:
            raise ToolError(str(error), print_exception=False) from error
        except Exception as error:  # the last boundary: its text could name files of the server
            traceback.print_exc()
            raise ToolError(FAILED.format(type(error).__name__), print_exception=False) from error

    return wrapped


class Tools:
    """The tools of the page's callbacks. Without classes, galleries or branches, calls that need them say so."""

    def __init__(self, inspect: InspectCallbacks, samples: Sequence[Path], limits: UploadLimits) -> None:
        self.inspect, self.of_model = inspect, ModelMapCallbacks(inspect)
        self.compare, self.reid = CompareCallbacks(inspect), ReIDCallbacks(inspect)
        self.samples, self.limits = {path.stem: path for path in samples}, limits

    def all(self) -> list[Callable[..., object]]:
        """Those that make sense here: one model has nothing to compare with, and no gallery."""
        alone: list[Callable[..., object]] = [
            self.list_checkpoints,
            self.inspect_image,
            self.draw_map,
            self.draw_patch,
            self.measure_map,
        ]
        several: list[Callable[..., object]] = [
            self.compare_image,
            self.list_gallery,
            self.search_gallery,
            self.explain_match,
        ]
        return alone if self.inspect.library.bare else [*alone, *several]

    @tool
    def list_checkpoints(self) -> str:
        """The checkpoints that can be asked, what each was trained for, and the sample images. Call this first."""
        library = self.inspect.library
        found = []
        for name in library.names():
            config = library.config(name)
            found.append(
                {
                    **{"checkpoint": name, "task": config.task, "ablation": config.ablation},
                    **{"backbone": config.backbone, "branches": list(config.branches), "classes": config.num_classes},
                }
            )
        return as_json({"checkpoints": found, "samples": list(self.samples), "image": WHICH})

    @tool
    def inspect_image(self, image: str, checkpoint: str) -> str:
        """The five most probable classes of each branch (SA, GLCA, fused), the patch grid, and what to know about them.

        Args:
            image: a sample's name, what an upload answered, or a data: address
            checkpoint: its name from list_checkpoints
        """
        with self.record_of(image, checkpoint) as key:
            entry = self.inspect.records.get(key)
            seen = entry.seen
            return as_json(
                {
                    "summary": captions.summary(seen, checkpoint, self.inspect.library.metrics(checkpoint)),
                    "predictions": captions.top(seen),
                    **{"layers": seen.num_layers, "heads": seen.num_heads},
                    **{"patch_rows": seen.layout.rows, "patch_columns": seen.layout.cols},
                }
            )

    @tool
    def draw_map(
        self, image: str, checkpoint: str, map: str = "rollout", layer: int = 0, target: str = ""
    ) -> tuple[RGB, str]:
        """One map of an image over the image, and a sentence that says what it shows and what it is worth.

        Args:
            image: a sample's name, what an upload answered, or a data: address
            checkpoint: its name from list_checkpoints
            map: rollout (by a layer), heads (of a layer), glca, selection (GLCA's queries), relevance (a class's)
            layer: for rollout and heads, counted from 1; 0 is the last
            target: for relevance, a class by name; empty is the most probable one
        """
        check_choice("map", map, MAPS)
        with self.record_of(image, checkpoint) as key:
            seen = self.inspect.records.get(key).seen
            found: RGB | None
            if map in ("rollout", "heads"):
                drawn = self.inspect.layer if map == "rollout" else self.inspect.heads
                found, about = drawn(key, layer or seen.num_layers)
            elif map == "relevance":
                found, _, about, _ = self.inspect.evidence(key, target or captions.first_choice(seen) or "")
            elif map == "glca":
                _, found, _, _, about, _ = self.inspect.compare(key)
            else:
                found, about = self.inspect.select(key, seen.top_ratio or 0.1)
            if found is None:
                raise DCALError(about)
            return found, without_clicks(about)

    @tool
    def draw_patch(
        self, image: str, checkpoint: str, row: int, column: int, layer: int = 0, head: int = 0
    ) -> tuple[RGB, str]:
        """What one patch's token attends to in one layer, over the image, and a sentence about it.

        Args:
            image: a sample's name, what an upload answered, or a data: address
            checkpoint: its name from list_checkpoints
            row: of the patch in the grid that inspect_image gives, counted from 1
            column: likewise
            layer: counted from 1; 0 is the last
            head: counted from 1; 0 is the mean of all
        """
        with self.record_of(image, checkpoint) as key:
            last = self.inspect.records.get(key).seen.num_layers
            found, about = self.inspect.token(key, row, column, layer or last, head)
            return found, without_clicks(about)

    @tool
    def measure_map(self, image: str, checkpoint: str, map: str = "rollout") -> str:
        """How well a map orders an image's patches: deletion and insertion against random orders and the centre first.

        Args:
            image: a sample's name, what an upload answered, or a data: address
            checkpoint: its name from list_checkpoints
            map: rollout, relevance (of the most probable class), glca or glca-block
        """
        with self.record_of(image, checkpoint) as key:
            return as_json(self.of_model.faithfulness(key, map))

    @tool
    def compare_image(self, image: str, checkpoints: str, map: str = "rollout", target: str = "") -> tuple[RGB, str]:
        """One image through two to four checkpoints: a map of each on one scale and its measured worth, predictions,
        agreement with the first.

        Args:
            image: a sample's name, what an upload answered, or a data: address
            checkpoints: two to four names from list_checkpoints, separated by commas; the first is the reference
            map: rollout, glca, or relevance
            target: for relevance, a class by name; empty is the one that most checkpoints predict
        """
        check_choice("map", map, compare_captions.MAPS)
        names = [name.strip() for name in checked_text("checkpoints", checkpoints).split(",")]
        upload = {"path": str(self.path_of(image))}
        key, rows, verdict = self.compare.compare_checkpoints(upload, names, target or None)
        with self.compare.records.lent(key) as entry:
            seen, agreed = entry.seen, self.compare.agreements(key, rows[0]["checkpoint"])
            maps = {name: found for name, own in seen.items() if (found := map_of(own, map)) is not None}
            if not maps:
                raise DCALError(f"None of these checkpoints has the map {map!r}.")
            low, high = draw.shared_scale(*maps.values())
            drawn = [
                draw.label(draw.figure(seen[name], own, low=low, high=high, max_side=COMPARED_SIDE), name)
                for name, own in maps.items()
            ]
            library = self.inspect.library
            worth = {name: MapScores.of(library.analysis(name)).plain(map) for name in maps}
            about = {"verdict": verdict, "predictions": rows, "agreement": agreed, "map_worth": worth}
            return draw.beside(drawn), as_json(about)

    @tool
    def list_gallery(self, checkpoint: str, gallery: str = "", camera: str = "", page: int = 1) -> str:
        """A re-identification checkpoint's galleries, cameras, and a page of images, whose names search_gallery takes.

        Args:
            checkpoint: its name from list_checkpoints, trained for reid
            gallery: by name; empty is the checkpoint's own
            camera: only images of this one; empty is all
            page: counted from 1
        """
        return as_json(self.reid.gallery(checkpoint, gallery, camera, "", page))

    @tool
    def search_gallery(
        self,
        image: str,
        checkpoint: str,
        gallery: str = "",
        most: int = 12,
        across: bool = True,
        rerank: bool = False,
        per_identity: bool = False,
    ) -> tuple[RGB, str]:
        """Rank a gallery for a query: the ranked list as an image, and every hit with its similarity and what is known.

        Args:
            image: one of the gallery's by the name that list_gallery gives, or a sample, an upload, a data: address
            checkpoint: its name from list_checkpoints, trained for reid
            gallery: by name; empty is the checkpoint's own
            most: hits, 1 to 100
            across: leave out images of the query's own camera, where it is known
            rerank: order by k-reciprocal neighbours
            per_identity: keep one image of each identity
        """
        with self.query_of(image, checkpoint, gallery) as key:
            found, about = self.reid.ranking(key, across, (), (), most, False, rerank, per_identity)
            return self.reid.ranked_image(key), as_json({"about": about, **found})

    @tool
    def explain_match(
        self, image: str, checkpoint: str, hit: int, gallery: str = "", across: bool = True, against: int = 0
    ) -> tuple[RGB, str]:
        """Why a hit of search_gallery matched: the evidence on both images, and what it is worth.

        Args:
            image: the query, as in search_gallery
            checkpoint: its name from list_checkpoints, trained for reid
            hit: its place in the ranking, counted from 1
            gallery: by name; empty is the checkpoint's own
            across: as in search_gallery
            against: the place of another hit: why the first rather than this one; 0 is none
        """
        with self.query_of(image, checkpoint, gallery) as key:
            self.reid.ranking(key, across, (), (), 100)
            drawn, about, difference = self.reid.match(key, hit, against=against)
            return drawn, without_clicks(f"{about}\n\n{difference}".strip())

    @contextmanager
    def record_of(self, image: str, checkpoint: str) -> Iterator[str]:
        """The key of an inspected image, for as long as it is needed."""
        key, _, _ = self.inspect.inspect({"path": str(self.path_of(image))}, checkpoint)
        with self.inspect.records.lent(key):
            yield key

    @contextmanager
    def query_of(self, image: str, checkpoint: str, gallery: str) -> Iterator[str]:
        """The key of a query session, for as long as it is needed."""
        opened = self.reid.galleries.open(checked_text("checkpoint", checkpoint), checked_text("gallery", gallery))
        if opened.embedded.index_of(checked_text("image", image)) is not None:
            key, _ = self.reid.choose(image, checkpoint, gallery=gallery)
        else:
            key, _ = self.reid.search({"path": str(self.path_of(image))}, checkpoint, gallery=gallery)
        with self.reid.records.lent(key):
            yield key

    def path_of(self, image: str) -> Path:
        """The file of an image that a caller names. Raises DCALError for any that is none of `WHICH`."""
        if checked_text("image", image) in self.samples:
            return self._kept(self.samples[image].read_bytes(), self.samples[image].name)
        if image.startswith("data:"):
            return self._decoded(image)
        named = unquote(urlsplit(image).path.partition(SERVED)[2]) if SERVED in image else image
        try:
            return checked_upload(self.inspect.folder, {"path": named})
        except DCALError as error:
            raise DCALError(f"There is no image {image[:80]!r} here. {WHICH}") from error

    def _decoded(self, address: str) -> Path:
        """The file of a data: address."""
        head, _, body = address.partition(",")
        if not head.endswith(";base64") or len(body) > LARGEST * 4 // 3 + 4:
            raise DCALError(f"A data: address holds an image of at most {LARGEST // 10**6} MB in base64.")
        try:
            data = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise DCALError(f"The image's data: address is no base64 ({error}).") from error
        return self._kept(data, "image")

    def _kept(self, data: bytes, name: str) -> Path:
        """A file in the folder of uploads, called by its content; it counts as an upload the first time."""
        path = self.inspect.folder / "tools" / hashlib.sha256(data).hexdigest()[:32] / name
        if not path.is_file():
            if why := self.limits.refusal("tools", len(data)):
                raise DCALError(why)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(data, path)
        return path


def without_clicks(sentence: str) -> str:
    """The page's sentence without what it says of clicking."""
    return CLICKS.sub("", sentence)


def as_json(values: object) -> str:
    return json.dumps(values, ensure_ascii=False)
