"""What happens when something is uploaded, moved or clicked: plain functions that call the core and return pictures.

Layers, heads, rows and columns count from 1 here, as on the page; the core counts from 0. Ratios are fractions.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dcal
from dcal import DCALError, Inspection, draw
from dcal.errors import check_choice
from dcal_explorer.content import captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.counting import from_one, numbers
from dcal_explorer.demo.inputs import told, uploaded
from dcal_explorer.demo.sessions import Entry, SessionStore

Picture = np.ndarray  # RGB, uint8
DOWNLOAD_SIDE = 2048  # pixels of a downloaded picture's longer side
COMPARED_SIDE = 512  # of pictures that stand beside each other


class InspectCallbacks:
    """The page's callbacks. `record` is always the key of an inspected picture, which is kept on the server.

    Every callback that draws returns a picture (or several) and one sentence about it.
    """

    def __init__(self, shelf: CheckpointLibrary, folder: Path) -> None:
        self.shelf, self.folder, self.records = shelf, folder, SessionStore[Entry]()
        self.running = threading.Lock()  # one picture at a time is in a model

    @told
    def inspect(
        self, image: dict[str, Any] | None, checkpoint: str, record: str | None = None
    ) -> tuple[str | None, dict[str, Any], str]:
        """Look at a picture with a checkpoint: the five most probable classes of each branch, and a summary.

        All other calls of the same session then draw from what was seen.
        """
        if image is None:
            return None, {}, captions.EMPTY
        model = self.shelf.model(checkpoint)
        with self.running:
            seen = dcal.inspect(model, uploaded(self.folder, image))
        key = self.records.keep(Entry(checkpoint, seen), instead_of=record)
        return key, captions.top(seen), captions.summary(seen, checkpoint, self.shelf.metrics(checkpoint))

    @told
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
    ) -> tuple[Picture, str]:
        """The attention rollout after one layer (counted from 1): how much of every patch is in the class token.

        `fusion` of the heads is mean, max or min; `discard` is the share of each row's weakest attention that is
        dropped; `one_scale` colours all layers on one scale, so that the rollout is seen to grow.
        """
        entry = self.records.get(record)
        rollout = entry.rolled(fusion, discard)
        chosen = rollout[from_one("layer", layer, len(rollout))]
        low, high = draw.shared_scale(rollout if one_scale else chosen)
        look: dict[str, Any] = {"opacity": opacity, "colormap": colormap, "smooth": smooth}

        def picture(side: int) -> Picture:
            return draw.figure(entry.seen, chosen, low=low, high=high, max_side=side, **look)

        def sheet(side: int) -> Picture:
            return draw.under(picture(side), draw.strip(entry.seen, rollout, numbers("", len(rollout)), **look))

        entry.shown = f"layer-{int(layer)}", sheet
        return picture(draw.MAX_SIDE), captions.layer(entry.seen, int(layer), chosen, fusion, discard)

    @told
    def layers(
        self,
        record: str,
        fusion: str = "mean",
        discard: float = 0.0,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[Picture, str]:
        """The attention rollout after every layer, as a strip on one scale. `fusion` and `discard` as in /layer."""
        entry = self.records.get(record)
        rollout = entry.rolled(fusion, discard)
        labels = numbers("", len(rollout))
        picture = draw.strip(entry.seen, rollout, labels, colormap=colormap, opacity=opacity, smooth=smooth)
        return picture, f"{captions.layers(entry.seen)} {captions.ENLARGE}"

    @told
    def heads(
        self, record: str, layer: int, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[Picture, str]:
        """What the class token attends to in each head of one layer (counted from 1), as a grid on one scale."""
        entry = self.records.get(record)
        index = from_one("layer", layer, entry.seen.num_layers)
        count = entry.seen.num_heads
        maps = np.stack([entry.seen.head(index, head) for head in range(count)])
        low, high = draw.shared_scale(maps)
        columns = draw.columns_for(count, 4)

        def picture(side: int) -> Picture:
            sheet = draw.grid(
                entry.seen,
                maps,
                numbers("head", count),
                columns,
                opacity=opacity,
                colormap=colormap,
                smooth=smooth,
                tile=side // columns,
            )
            return draw.under(sheet, draw.bar(sheet.shape[1], low, high, colormap))

        entry.shown = f"heads-of-layer-{int(layer)}", picture
        return picture(draw.MAX_SIDE), captions.heads(entry.seen, int(layer))

    @told
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
    ) -> tuple[Picture, str]:
        """What one patch's token attends to in one layer: in one head, or averaged over heads (0). All count from 1."""
        entry = self.records.get(record)
        seen = entry.seen
        place = from_one("row", row, seen.layout.rows), from_one("column", column, seen.layout.cols)
        index = from_one("layer", layer, seen.num_layers)
        map = seen.token(index, *place, head=from_one("head", head, seen.num_heads) if head else None)

        def picture(side: int) -> Picture:
            return draw.figure(seen, map, opacity, colormap, smooth=smooth, max_side=side, marked=place)

        entry.shown = f"patch-{int(row)}-{int(column)}-layer-{int(layer)}", picture
        return picture(draw.MAX_SIDE), captions.token(int(row), int(column), int(layer), int(head), map)

    def warm(self, samples: Sequence[Path]) -> Inspection:
        """Load the first checkpoint and look at one picture with it, so that the first visitor need not wait."""
        model = self.shelf.model(self.shelf.names()[0])
        seen = dcal.inspect(model, samples[0] if samples else np.zeros((64, 64, 3), dtype=np.uint8))
        draw.figure(seen, seen.sa_map)
        return seen

    @told
    def compare(
        self, record: str, kind: str = "input", colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[Picture, Picture | None, Picture | None, str, str, str]:
        """SA's map, GLCA's map on the same scale, and GLCA − SA; a sentence about each. Without GLCA: SA's alone.

        `kind` says which GLCA map: "input" (the class token's attention, carried down through the rollout), "block"
        (the same in the GLCA block), or "local" (the selected patches' attention).
        """
        entry = self.records.get(record)
        seen = entry.seen
        look: dict[str, Any] = {"opacity": opacity, "smooth": smooth}
        glca = {"input": seen.glca_input_map, "block": seen.glca_map, "local": seen.glca_local_map}[
            check_choice("kind", kind, captions.GLCA_MAPS)
        ]
        low, high = draw.shared_scale(seen.sa_map if glca is None else np.stack([seen.sa_map, glca]))

        def pictures(side: int) -> list[Picture]:
            maps = [seen.sa_map] if glca is None else [seen.sa_map, glca]
            drawn = [draw.figure(seen, m, colormap=colormap, low=low, high=high, max_side=side, **look) for m in maps]
            if glca is None:
                return drawn
            delta, most = draw.difference(seen.sa_map, glca)
            return [
                *drawn,
                draw.figure(seen, delta, colormap=draw.DIVERGING, low=-most, high=most, max_side=side, **look),
            ]

        entry.shown = "sa-and-glca", lambda side: draw.beside(pictures(side // 2))
        shown = pictures(COMPARED_SIDE)
        if glca is None:
            return shown[0], None, None, captions.SA, captions.NO_GLCA, ""
        return shown[0], shown[1], shown[2], captions.SA, f"**GLCA.** {captions.GLCA_MAPS[kind]}", captions.DIFFERENCE

    @told
    def select(self, record: str, ratio: float) -> tuple[Picture | None, str]:
        """The patches that GLCA selects at R = `ratio`, in (0, 1], and what that does to the predictions."""
        entry = self.records.get(record)
        if entry.seen.selected is None:
            return None, captions.NO_GLCA
        chosen = self.at_ratio(entry, ratio)
        mask = chosen.selected_mask
        assert mask is not None
        entry.top_ratio = ratio

        def picture(side: int) -> Picture:
            return draw.selection(entry.seen, mask, side)

        entry.shown = f"selected-{ratio:.0%}".replace("%", "-percent"), picture
        return picture(draw.MAX_SIDE), captions.selection(chosen, entry.seen)

    def at_ratio(self, entry: Entry, ratio: float) -> Inspection:
        """The entry's record under another R; the backbone does not run."""
        with self.running:
            return dcal.reselect(self.shelf.model(entry.checkpoint), entry.seen, float(ratio))

    @told
    def evidence(
        self, record: str, target: str, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[Picture | None, Picture | None, str, str]:
        """What speaks for a class (by name): the gradient-weighted rollout, and the relevance of Chefer et al."""
        entry = self.records.get(record)
        if not captions.names_classes(entry.seen.config):
            return None, None, captions.NO_CLASSES, ""
        seen = self._explained(entry, target)
        assert seen.target is not None and seen.gradient_rollout is not None and seen.relevance is not None
        maps = seen.gradient_rollout, seen.relevance
        look: dict[str, Any] = {"opacity": opacity, "colormap": colormap, "smooth": smooth}

        def pictures(side: int) -> list[Picture]:
            return [draw.figure(seen, map, max_side=side, **look) for map in maps]

        entry.shown = "class-evidence", lambda side: draw.beside(pictures(side // 2))
        gradient, relevance = pictures(COMPARED_SIDE)
        return gradient, relevance, *captions.evidence(seen, seen.target)

    def _explained(self, entry: Entry, target: str) -> Inspection:
        """The entry's record with the maps for one class, which it keeps."""
        seen = entry.seen
        if target not in seen.classes:
            raise DCALError(f"There is no class {target!r}: choose one of the {len(seen.classes)} of this checkpoint.")
        index = seen.classes.index(target)
        if seen.target != index:
            with self.running:
                found = dcal.inspect(self.shelf.model(entry.checkpoint), seen.photo, target=index)
            entry.seen = dataclasses.replace(
                seen, target=index, gradient_rollout=found.gradient_rollout, relevance=found.relevance
            )
        return entry.seen

    @told
    def download_picture(self, record: str) -> str:
        """The picture drawn last in this session, large and lossless: a PNG file."""
        entry = self.records.get(record)
        if entry.shown is None:
            raise DCALError("No picture has been drawn yet.")
        name, picture = entry.shown
        path = self._place(record) / f"dcal-{name}.png"
        path.write_bytes(draw.png(picture(DOWNLOAD_SIDE)))
        return str(path)

    @told
    def download_record(self, record: str) -> str:
        """Everything that was seen, as an NPZ file for `dcal.Inspection.from_npz`, under the R chosen last."""
        entry = self.records.get(record)
        seen = entry.seen
        if entry.top_ratio is not None and entry.top_ratio != seen.top_ratio:
            seen = self.at_ratio(entry, entry.top_ratio)
        return str(seen.to_npz(self._place(record) / "dcal-record.npz"))

    def _place(self, record: str) -> Path:
        place = self.folder / record
        place.mkdir(parents=True, exist_ok=True)
        return place
