"""A record in a notebook."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcal.explain.inspection import Inspection
    from dcal.model.dcal import DCAL

VIEW = "dcal_explorer.view.notebook"  # by name: the core knows no face, and the faces come with the package


def show(seen: Inspection, title: str = "the image", class_name: str | None = None, model: DCAL | None = None) -> Any:
    """The live view of a record, as a Jupyter widget: hover a patch to see its attention, click to keep it.

    `title` names the image, `class_name` the target of its evidence. The widget's `show_record` shows another record in
    its place. With the record's `model` there are features and token sizes, too, and the faithfulness of a map can be
    measured. Needs a running kernel for the attention of any layer but the last.
    """
    return importlib.import_module(VIEW).NotebookView(seen, title=title, class_name=class_name, model=model)
