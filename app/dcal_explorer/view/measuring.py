"""Faithfulness of the map on screen, measured step by step: the view asks for every step, and may stop asking."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from dcal import DCAL, DCALError, Inspection
from dcal.analysis.faithfulness import Faithfulness, Progress, faithfulness, own_similarity
from dcal_explorer.view.arrays import unpacked

MOST = 16  # measurements under way; the oldest is given up for another one
ORDERS = ("map", "random", "centre")


class Measurements:
    """Measurements under way, by a key that cannot be guessed. One step is one pass of the model."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._running: OrderedDict[str, Iterator[Progress]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._running)

    def answer(self, seen: Inspection, model: DCAL, request: dict[str, Any]) -> dict[str, Any]:
        """{"job", "done", "total"}, and the "result" with the last step. Raises DCALError for what is no map.

        {"kind": "measure", "values": packed array (rows, cols), "target": class or null} starts a measurement and does
        its first step, {"kind": "measure", "job": …} does the next one, with "stop": true it is given up.
        """
        job = request.get("job")
        if job is None:
            target = request.get("target")
            values, grid = unpacked(request.get("values")), (seen.layout.rows, seen.layout.cols)
            if values.shape != grid:
                raise DCALError(f"the map must be {grid[0]}×{grid[1]} finite numbers, got {values.shape}")
            steps = started(seen, model, values, target if type(target) is int else None)
            job = secrets.token_urlsafe(12)
        else:
            with self._lock:
                running = self._running.pop(str(job), None)
            if request.get("stop") is True:
                return {"job": job}
            if running is None:
                raise DCALError("This measurement was given up. Start it again.")
            steps = running
        progress = next(steps)
        if progress.result is not None:
            return {"job": job, "done": progress.done, "total": progress.total, "result": described(progress.result)}
        with self._lock:
            self._running[str(job)] = steps
            while len(self._running) > self.most:
                self._running.popitem(last=False)
        return {"job": job, "done": progress.done, "total": progress.total}


def started(seen: Inspection, model: DCAL, values: np.ndarray, target: int | None) -> Iterator[Progress]:
    """A map's measurement: of the class's probability or, without classes, of the similarity to the image itself."""
    if seen.config.task == "fgvc":
        return faithfulness(model, seen, values, target)
    return faithfulness(model, seen, values, answer=own_similarity(model, seen))


def described(found: Faithfulness) -> dict[str, Any]:
    """A result as JSON holds it: curves by order, their areas, and scores (insertion's area minus deletion's)."""
    curves = {"deletion": found.deletion, "insertion": found.insertion}
    return {
        "shares": [float(share) for share in found.shares],
        "curves": {name: {o: [float(v) for v in curve[o]] for o in ORDERS} for name, curve in curves.items()},
        "areas": {name: {order: found.area(name, order) for order in ORDERS} for name in curves},
        "scores": {order: found.score(order) for order in ORDERS},
        "random": [min(found.random_scores), max(found.random_scores)],
    }
