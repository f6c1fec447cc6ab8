"""What every visitor's call goes through: what is wrong is told in the page, and no file is read but an upload."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from dcal import DCALError

NOT_UPLOADED = "Pictures are read from uploads only. Upload the file itself."
P = ParamSpec("P")
R = TypeVar("R")


def told(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose DCALErrors are shown in the page as they are, until they are closed."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DCALError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    return wrapped


def uploaded(folder: Path, image: Any) -> Path:
    """Where an uploaded picture lies, below `folder`. Raises DCALError for any other file, and for addresses."""
    path = image.get("path") if isinstance(image, dict) else None
    if not isinstance(path, str) or not Path(path).resolve().is_relative_to(folder.resolve()):
        raise DCALError(NOT_UPLOADED)
    return Path(path)
