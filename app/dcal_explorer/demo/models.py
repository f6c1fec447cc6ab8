"""The models as visitors use them: files are read in other processes, images of several visitors pass as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dcal import DCAL, Inspection
from dcal.decoder import shared_decoder
from dcal.explain.inspect import (
    check_weights,
    class_index,
    explain_classes,
    inspect_prepared,
    rendered,
    reselect,
)
from dcal.image import Source
from dcal.model.checkpoint import fingerprint
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.model_queue import ModelQueue, OnWait, quietly


class Models:
    """`queue.running` is for whoever runs a model in another way: one at a time."""

    def __init__(self, library: CheckpointLibrary) -> None:
        self.library, self.queue = library, ModelQueue()

    def inspect(self, checkpoint: str, image: Source, on_wait: OnWait = quietly) -> Inspection:
        """`dcal.inspect`, read outside the queue. Raises ImageError, too, for a file that takes too long to decode."""
        model = self.library.model(checkpoint)
        prepared = rendered(model.config, shared_decoder().read, image)
        kind = "inspect", fingerprint(model)
        together = partial(inspect_prepared, model, encoder=self.library.encoder(checkpoint))
        return self.queue.run(kind, prepared, together, on_wait)

    def explain(self, checkpoint: str, seen: Inspection, target: int | str, on_wait: OnWait = quietly) -> Inspection:
        """`explain_class`: the record with the evidence for a class."""
        model = self.library.model(checkpoint)
        check_weights(model, seen)
        item = seen, class_index(model.config, target)
        return self.queue.run(("explain", seen.fingerprint), item, partial(_explained, model), on_wait)

    def reselect(self, checkpoint: str, seen: Inspection, top_ratio: float, input_map: bool = True) -> Inspection:
        """`dcal.reselect`: it runs one block, so it does not queue."""
        return reselect(self.library.model(checkpoint), seen, top_ratio, input_map)


def _explained(model: DCAL, items: Sequence[tuple[Inspection, int]]) -> list[Inspection]:
    records, targets = zip(*items, strict=True)
    return explain_classes(model, records, targets)
