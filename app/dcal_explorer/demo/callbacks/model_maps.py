"""What takes an inspected image's model again, for programs: contrast, token sizes, similar patches, faithfulness."""

from __future__ import annotations

from typing import Any

import numpy as np

from dcal import DCALError, draw
from dcal.errors import check_choice
from dcal.explain.class_maps import contrast
from dcal.explain.features import patch_features, similar_patches
from dcal.explain.inspect import class_index
from dcal.explain.tokens import outliers, token_sizes
from dcal_explorer.content import captions
from dcal_explorer.content.map_scores import NOT_MEASURED, SINGLE
from dcal_explorer.demo.callbacks.inspect import RGB, InspectCallbacks
from dcal_explorer.demo.inputs import checked_look, checked_text, from_one, shows_errors
from dcal_explorer.demo.sessions import Drawing, Entry
from dcal_explorer.view.measuring import described, started

MEASURED = ("relevance", "rollout", "glca", "glca-block")


class ModelMapCallbacks:
    """Callbacks on the records of `inspect`. Places count from 1, as in the other endpoints."""

    def __init__(self, inspect: InspectCallbacks) -> None:
        self.inspect = inspect

    @shows_errors
    def contrast(
        self,
        record: str,
        target: str = "",
        rival: str = "",
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str]:
        """What speaks for one class rather than another (by name): the relevance of the difference of their scores.

        Without names: the most probable class, and the most probable other one.
        """
        entry, look = self._entry(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        if not captions.names_classes(seen.config):
            raise DCALError(captions.NO_CLASSES)
        own = class_index(seen.config, checked_text("target", target)) if target else int(seen.probabilities.argmax())
        if rival:
            other = class_index(seen.config, checked_text("rival", rival))
        else:
            other = next(int(i) for i in np.argsort(-seen.probabilities, kind="stable") if i != own)
        with self.inspect.model_of(record) as model:
            map = contrast(model, seen, own, other).relevance
        return self._drawn(entry, "contrast", map, look), captions.contrast(seen, own, other) + f" {NOT_MEASURED}"

    @shows_errors
    def token_sizes(
        self, record: str, layer: int, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[RGB, str]:
        """The length of every patch's token after a layer (counted from 1), with outliers named."""
        entry, look = self._entry(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        index = from_one("layer", layer, seen.num_layers)
        with self.inspect.model_of(record) as model:
            sizes = token_sizes(model, seen)[index + 1, seen.layout.prefix :]
        map = sizes.reshape(seen.layout.rows, seen.layout.cols)
        return self._drawn(entry, f"token-sizes-layer-{int(layer)}", map, look), captions.token_sizes(
            int(layer), map, outliers(map)
        )

    @shows_errors
    def similar_patches(
        self,
        record: str,
        row: int,
        column: int,
        layer: int,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str]:
        """The cosine of one patch's feature with every other patch's, after a layer. All count from 1."""
        entry, look = self._entry(record), checked_look(colormap, opacity, smooth)
        seen = entry.seen
        place = from_one("row", row, seen.layout.rows), from_one("column", column, seen.layout.cols)
        index = from_one("layer", layer, seen.num_layers)
        with self.inspect.model_of(record) as model:
            features = patch_features(model, seen, index)
        map = similar_patches(features, place[0] * seen.layout.cols + place[1]).reshape(seen.sa_map.shape)
        name = f"similar-to-{int(row)}-{int(column)}-layer-{int(layer)}"
        sentence = captions.similar_patches(int(row), int(column), int(layer), map)
        return self._drawn(entry, name, map, {**look, "marked": place}), f"{sentence} {SINGLE}"

    @shows_errors
    def faithfulness(self, record: str, map: str = "rollout") -> dict[str, Any]:
        """Deletion and insertion curves of a map of this image, against random orders and the centre first.

        `map` is relevance (of the most probable class or the one explained last), rollout, glca or glca-block.
        """
        entry = self._entry(record)
        name, seen = check_choice("map", checked_text("map", map), MEASURED), entry.seen
        if name == "relevance" and captions.names_classes(seen.config):
            seen = self.inspect.explained(entry, seen.classes[seen.target] if seen.target is not None else None)
        values = {
            "relevance": seen.relevance,
            "rollout": seen.sa_map,
            "glca": seen.glca_input_map,
            "glca-block": seen.glca_map,
        }[name]
        if values is None:
            raise DCALError(f"This checkpoint has no map {name!r}.")
        with self.inspect.model_of(record) as model:
            *_, last = started(seen, model, values, seen.target if name == "relevance" else None)
        assert last.result is not None
        return {"map": name, **described(last.result)}

    def _entry(self, record: str) -> Entry:
        return self.inspect.records.get(record)

    def _drawn(self, entry: Entry, name: str, map: np.ndarray, look: dict[str, Any]) -> RGB:
        """The map's image; a download then draws it larger."""
        seen = entry.seen
        low, high = draw.shared_scale(map)

        def image(side: int) -> RGB:
            marked = look.get("marked")
            drawing = draw.overlay(
                seen, map, low=low, high=high, max_side=side, **{k: v for k, v in look.items() if k != "marked"}
            )
            drawing = drawing if marked is None else draw.mark(seen, drawing, *marked)
            return draw.under(drawing, draw.numbers_bar(drawing.shape[1], low, high, look["colormap"]))

        entry.shown = Drawing(name, image, (map, seen.image))
        return image(draw.MAX_SIDE)
