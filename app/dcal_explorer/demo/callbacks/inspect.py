"""What the tab "Inspect" does on an upload, a click or a moved control: calls of the core, drawn and worded.

Layers, heads, rows and columns count from 1 here, as on the page; the core counts from 0. Ratios are fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import dcal
from dcal import DCALError, Inspection, draw
from dcal.errors import check_choice
from dcal.explain.inspect import inspect_prepared, prepare
from dcal.model.rollout import FUSIONS
from dcal_explorer.content import captions, map_scores
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.live_payload import live_payload
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.demo.inputs import (
    checked_flag,
    checked_look,
    checked_number,
    checked_text,
    checked_upload,
    from_one,
    kept_between,
    numbers,
    shows_errors,
)
from dcal_explorer.demo.model_queue import OnWait, quietly
from dcal_explorer.demo.models import Models
from dcal_explorer.demo.sessions import Drawing, Entry, SessionStore
from dcal_explorer.demo.waiting import place_in_queue

RGB = np.ndarray  # an image, uint8
DOWNLOAD_SIDE = 2048  # pixels of a downloaded image's longer side
COMPARED_SIDE = 512  # of images that stand beside each other
PROGRESS = gr.Progress()  # what gradio replaces by a visitor's own
GLCA_SCORES = {"input": "glca_input", "block": "glca", "local": "glca_local"}  # keys of analysis.json


class InspectCallbacks:
    """The tab's callbacks. `record` is always the key of an inspected image, which is kept on the server.

    Every callback that draws returns an image (or several) and a sentence about each.
    """

    def __init__(self, library: CheckpointLibrary, folder: Path) -> None:
        self.library, self.folder, self.models = library, folder, Models(library)
        self.records = SessionStore[Entry](renew=lambda source: self._inspected(*source))
        self.running = self.models.queue.running  # held by whoever is in a model

    @shows_errors
    def inspect(
        self,
        image: dict[str, Any] | None,
        checkpoint: str,
        record: str | None = None,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, Any, Any]:
        """Inspect an image with a checkpoint: the five most probable classes of each branch, and a summary.

        All other calls of the same session then draw from this record. Without an image, the record stays as it is.
        """
        if image is None:
            return kept_between(record, None, {}, captions.EMPTY)
        name = checked_text("checkpoint", checkpoint)
        entry = self._inspected(name, checked_upload(self.folder, image), place_in_queue(progress))
        key = self.records.keep(entry, instead_of=record)
        return key, captions.top(entry.seen), captions.summary(entry.seen, name, self.library.metrics(name))

    def _inspected(self, checkpoint: str, path: Path, on_wait: OnWait = quietly) -> Entry:
        self.library.version(checkpoint)  # an unknown name is said first
        if not path.is_file():
            raise DCALError("This image is no longer kept on the server. Upload it again.")
        seen = self.models.inspect(checkpoint, path, on_wait)
        return Entry(checkpoint, seen, path, MapScores.of(self.library.analysis(checkpoint)))

    @shows_errors
    def layer(
        self,
        record: str,
        layer: int,
        fusion: str = "mean",
        discard: float = 0.0,
        one_scale: bool = True,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str]:
        """The attention rollout by one layer (counted from 1): how much each patch has contributed to the class token.

        `fusion` of the heads is mean, max or min; `discard` is the share of each row's weakest attention that is
        dropped; `one_scale` colours all layers on one scale, so that the rollout is seen to grow.
        """
        entry = self.records.get(record)
        seen, rollout = entry.seen, self._rolled(entry, fusion, discard)
        chosen = rollout[from_one("layer", layer, len(rollout))]
        low, high = draw.shared_scale(rollout if checked_flag("one_scale", one_scale) else chosen)
        look = checked_look(colormap, opacity, smooth)

        def image(side: int) -> RGB:
            return draw.figure(seen, chosen, low=low, high=high, max_side=side, **look)

        def sheet(side: int) -> RGB:
            return draw.under(image(side), draw.strip(seen, rollout, numbers("", len(rollout)), **look))

        entry.shown = Drawing(f"layer-{int(layer)}", sheet, (rollout,))
        measured = int(layer) == len(rollout) and (fusion, discard) == ("mean", 0)
        score = entry.scores.sentence("rollout") if measured else map_scores.LAST_LAYER_ONLY
        return image(draw.MAX_SIDE), f"{captions.layer(seen, int(layer), chosen, fusion, discard)} {score}"

    @shows_errors
    def layers(
        self,
        record: str,
        fusion: str = "mean",
        discard: float = 0.0,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str]:
        """The attention rollout by every layer, as a strip on one scale. `fusion` and `discard` as in /layer."""
        entry = self.records.get(record)
        rollout = self._rolled(entry, fusion, discard)
        look = checked_look(colormap, opacity, smooth)
        strip = draw.strip(entry.seen, rollout, numbers("", len(rollout)), **look)
        return strip, f"{captions.layers(entry.seen)} {captions.rollout_note(entry.seen)} {captions.ENLARGE}"

    def _rolled(self, entry: Entry, fusion: str, discard: float) -> np.ndarray:
        check_choice("fusion", checked_text("fusion", fusion), FUSIONS)
        rollout = entry.rolled(fusion, checked_number("discard", discard, 0, 1))
        self.records.grown()
        return rollout

    @shows_errors
    def heads(
        self, record: str, layer: int, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[RGB, str]:
        """What the class token attends to in each head of one layer (counted from 1), as a grid on one scale."""
        entry, look = self.records.get(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        index, count = from_one("layer", layer, seen.num_layers), seen.num_heads
        maps = np.stack([seen.head(index, head) for head in range(count)])
        low, high = draw.shared_scale(maps)
        columns = draw.columns_for(count, 4)

        def image(side: int) -> RGB:
            sheet = draw.grid(seen, maps, numbers("head", count), columns, tile=side // columns, **look)
            return draw.under(sheet, draw.bar(sheet.shape[1], low, high, look["colormap"]))

        entry.shown = Drawing(f"heads-of-layer-{int(layer)}", image, (maps,))
        return image(draw.MAX_SIDE), f"{captions.heads(seen, int(layer))} {map_scores.SINGLE}"

    @shows_errors
    def token(
        self,
        record: str,
        row: int,
        column: int,
        layer: int,
        head: int = 0,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str]:
        """What one patch's token attends to in one layer: in one head, or averaged over heads (0). All count from 1."""
        entry, look = self.records.get(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        place = from_one("row", row, seen.layout.rows), from_one("column", column, seen.layout.cols)
        index = from_one("layer", layer, seen.num_layers)
        head = head or 0  # 0, None: averaged
        map = seen.token(index, *place, head=from_one("head", head, seen.num_heads) if head else None)

        def image(side: int) -> RGB:
            return draw.figure(seen, map, max_side=side, marked=place, **look)

        entry.shown = Drawing(f"patch-{int(row)}-{int(column)}-layer-{int(layer)}", image, (map,))
        caption = captions.token(seen, int(row), int(column), int(layer), int(head), map)
        return image(draw.MAX_SIDE), f"{caption} {map_scores.SINGLE}"

    def warm(self, samples: Sequence[Path]) -> Inspection:
        """Inspect one image by the first checkpoint and its engine, so that the first visitor need not wait."""
        name = self.library.names()[0]
        model, image = self.library.model(name), samples[0] if samples else np.zeros((64, 64, 3), dtype=np.uint8)
        (seen,) = inspect_prepared(model, [prepare(model.config, image)], encoder=self.library.encoder(name))
        draw.figure(seen, seen.sa_map)
        return seen

    @shows_errors
    def compare(
        self, record: str, kind: str = "input", colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[RGB, RGB | None, RGB | None, str, str, str]:
        """SA's map, GLCA's map on the same scale, and GLCA − SA; a sentence about each. Without GLCA: SA's alone.

        `kind` says which GLCA map: "input" (the class token's attention, carried down through the rollout), "block"
        (the same in the GLCA block), or "local" (the selected patches' attention).
        """
        entry, look = self.records.get(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        glca = {"input": seen.glca_input_map, "block": seen.glca_map, "local": seen.glca_local_map}[
            check_choice("kind", checked_text("kind", kind), captions.GLCA_MAPS)
        ]
        maps = [seen.sa_map] if glca is None else [seen.sa_map, glca]
        low, high = draw.shared_scale(*maps)

        def images(side: int) -> list[RGB]:
            same = look | {"max_side": side, "base": draw.base_image(seen, side)}
            drawn = [draw.figure(seen, map, low=low, high=high, **same) for map in maps]
            if glca is None:
                return drawn
            delta, most = draw.difference(*maps)
            return [*drawn, draw.figure(seen, delta, low=-most, high=most, **same | {"colormap": draw.DIVERGING})]

        entry.shown = Drawing("sa-and-glca", lambda side: draw.beside(images(side // 2)), tuple(maps))
        shown = images(COMPARED_SIDE)
        sa = f"{captions.read(seen, captions.SA)} {entry.scores.sentence('rollout')}"
        if glca is None:
            return shown[0], None, None, sa, captions.no_glca(self.library.bare), ""
        score = entry.scores.sentence(GLCA_SCORES[kind])
        about = f"**GLCA.** {captions.read(seen, captions.GLCA_MAPS[kind])} {score}"
        return shown[0], shown[1], shown[2], sa, about, captions.DIFFERENCE

    @shows_errors
    def select(self, record: str, ratio: float) -> tuple[RGB | None, str]:
        """The patches that GLCA selects at R = `ratio`, in (0, 1], and how that changes the predictions."""
        entry = self.records.get(record)
        seen = entry.seen
        if seen.selected is None:
            return None, captions.no_glca(self.library.bare)
        asked = checked_number("R", ratio, 0, 1)
        chosen = self.models.reselect(entry.checkpoint, seen, asked, input_map=False)  # which is not drawn here
        mask = chosen.selected_mask
        assert mask is not None
        entry.top_ratio = float(ratio)

        def image(side: int) -> RGB:
            return draw.selection(seen, mask, side)

        entry.shown = Drawing(f"selected-{ratio:.0%}".replace("%", "-percent"), image, (mask,))
        return image(draw.MAX_SIDE), captions.selection(chosen, seen)

    @shows_errors
    def evidence(
        self, record: str, target: str, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[RGB | None, RGB | None, str, str]:
        """The evidence for a class (by name): its relevance (Chefer et al.), and the gradient-weighted rollout."""
        entry, look = self.records.get(record), checked_look(colormap, opacity, smooth)
        if not captions.names_classes(entry.seen.config):
            return None, None, captions.no_classes(entry.seen.config), ""
        seen = self.explained(entry, target)
        assert seen.target is not None and seen.gradient_rollout is not None and seen.relevance is not None
        maps = seen.relevance, seen.gradient_rollout

        def images(side: int) -> list[RGB]:
            return [draw.figure(seen, map, max_side=side, **look) for map in maps]

        entry.shown = Drawing("class-evidence", lambda side: draw.beside(images(side // 2)), (*maps, seen.image))
        relevance, gradient = images(COMPARED_SIDE)
        sentences = zip(captions.evidence(seen, seen.target), ("relevance", "gradient_rollout"), strict=True)
        about, about_rollout = (f"{caption} {entry.scores.sentence(key)}" for caption, key in sentences)
        return relevance, gradient, about, about_rollout

    def explained(self, entry: Entry, target: str | None) -> Inspection:
        """The entry's record with the maps for one class (none: the most probable), which it keeps."""
        seen = entry.seen
        target = captions.first_choice(seen) if target is None else target
        if target not in seen.classes:
            raise DCALError(f"There is no class {target!r}: choose one of the {len(seen.classes)} of this checkpoint.")
        if seen.target != (index := seen.classes.index(target)):
            entry.seen = self.models.explain(entry.checkpoint, seen, index)
            self.records.grown()
        return entry.seen

    @shows_errors
    def live(
        self,
        record: str,
        target: str | None,
        rival: str | None,
        ratio: float | None,
        state: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], str, str]:
        """The record for the live view, with the evidence for a class and the selection at R; the bars; what R moved.

        `rival` is the class that the target is contrasted with (none: the most probable other one). Without classes
        neither counts, without GLCA `ratio` does not. `state`: what the view is to show at first.
        """
        entry = self.records.get(record)
        if captions.names_classes(entry.seen.config):
            self.explained(entry, target)
        seen, moved = entry.seen, ""
        if seen.selected is not None and ratio is not None:
            asked = checked_number("R", ratio, 0, 1)
            chosen = seen if asked == seen.top_ratio else self.models.reselect(entry.checkpoint, seen, asked)
            entry.top_ratio = float(ratio)
            moved, seen = captions.selected(chosen, seen), chosen
        packed = live_payload(
            seen,
            record,
            captions.image_title(entry.path),
            rival=rival or None,
            has_model=True,
            scores=entry.scores,
            checkpoint=entry.checkpoint,
            state=state,
        )
        return packed, captions.columns(seen), moved

    def record_of(self, record: str) -> Inspection:
        """The record that the live view fetches attention from."""
        return self.records.get(record).seen

    @contextmanager
    def model_of(self, record: str) -> Iterator[dcal.DCAL]:
        """The record's model, one caller at a time."""
        model = self.library.model(self.records.get(record).checkpoint)
        with self.running:
            yield model

    @shows_errors
    def download_image(self, record: str) -> str:
        """The image drawn last in this session, large, lossless and with a caption: a PNG file."""
        entry = self.records.get(record)
        if entry.shown is None:
            raise DCALError("No image has been drawn yet.")
        path = self._place(record) / f"dcal-{entry.shown.name}.png"
        sheet = entry.shown.draw(DOWNLOAD_SIDE)
        words = f"{entry.checkpoint} · {captions.image_title(entry.path)} · {entry.shown.name.replace('-', ' ')}"
        path.write_bytes(draw.png(draw.under(sheet, draw.caption(sheet.shape[1], [words]))))
        return str(path)

    @shows_errors
    def download_record(self, record: str) -> str:
        """The whole record, as an NPZ file for `dcal.Inspection.from_npz`, under the R chosen last."""
        entry = self.records.get(record)
        seen = entry.seen
        if entry.top_ratio is not None and entry.top_ratio != seen.top_ratio:
            seen = self.models.reselect(entry.checkpoint, seen, entry.top_ratio)
        return str(seen.to_npz(self._place(record) / "dcal-record.npz"))

    def _place(self, record: str) -> Path:
        (place := self.folder / record).mkdir(parents=True, exist_ok=True)
        return place
