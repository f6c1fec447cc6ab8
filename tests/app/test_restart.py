"""What a page showed comes back when it is loaded again: from what the browser kept, in all three tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.address import Wanted
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.inspect_tab import InspectTab
from dcal_explorer.demo.restart import Shown, shown
from tests.fixtures.ablations import write_ablations


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(tmp_path / "mine.png")
    return tmp_path / "mine.png"


def test_only_uploads_come_back(image: Path, tmp_path: Path) -> None:
    found = shown(tmp_path, {"inspect": str(image), "compare": "/etc/passwd", "query": 7, "card": "a.png"})
    assert found == Shown(inspect=image, card="a.png")
    of_no_use: list[Any] = [None, [], "text", {"card": 3, "inspect": None}]
    for nothing in of_no_use:
        assert shown(tmp_path, nothing) == Shown()


def test_inspect_takes_the_image_that_was_shown_with_the_checkpoint_of_the_address(image: Path, tmp_path: Path) -> None:
    """By a server that knows no record: it is inspected as an upload is."""
    tab = InspectTab.__new__(InspectTab)
    tab.callbacks = InspectCallbacks(CheckpointLibrary(write_ablations(tmp_path / "four")), tmp_path)
    tab.samples = [Path("cat.webp")]
    path, checkpoint, sample = tab.place(Wanted(checkpoint="oak", upload=image))
    assert (path, checkpoint, sample) == (str(image), "oak", "")
    key, predictions, _ = tab.callbacks.inspect({"path": path}, checkpoint)
    assert key and predictions
