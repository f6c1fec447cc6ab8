"""Error reporting and input checks for every callback: the one place where what a visitor sends is checked.

The page counts layers, heads, rows and columns from 1; the core counts from 0.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from dcal import DCALError, draw
from dcal.errors import check_choice

NOT_UPLOADED = "Images are read from uploads only. Upload the file itself."
P = ParamSpec("P")
R = TypeVar("R")


def shows_errors(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose DCALErrors are shown in the page as they are, until they are closed."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DCALError as error:
            text = html.escape(str(error), quote=False)  # gradio shows it as HTML, and names of files are in it
            raise gr.Error(text, duration=None, print_exception=False) from error

    return wrapped


def checked_upload(folder: Path, image: Any) -> Path:
    """The path of an uploaded image, below `folder`. Raises DCALError for any other file, and for addresses."""
    path = image.get("path") if isinstance(image, dict) else None
    if not isinstance(path, str) or "\0" in path or not Path(path).resolve().is_relative_to(folder.resolve()):
        raise DCALError(NOT_UPLOADED)
    return Path(path)


def kept_between(record: str | None, *empty: Any) -> tuple[Any, ...]:
    """What a call without an image answers: `empty`, or, where there is a record, that everything stays.

    Gradio empties an image when another is dropped on it, and an upload that came just before is then called with none.
    Who takes an image away by hand is answered elsewhere.
    """
    return tuple(gr.skip() for _ in empty) if record else empty


def from_one(what: str, number: Any, count: int) -> int:
    """The index, counted from 0, of something that the page counts from 1. Raises DCALError outside 1 … count."""
    if not _is_number(number) or not 1 <= number <= count or number != int(number):
        raise DCALError(f"There is no {what} {number}: choose 1 to {count}.")
    return int(number) - 1


def numbers(what: str, count: int) -> list[str]:
    """Labels of things counted from 1: "head 1", "head 2", …"""
    return [f"{what} {number}".strip() for number in range(1, count + 1)]


def checked_text(what: str, text: Any) -> str:
    """`text` itself. Raises DCALError, naming `what`, if it is no string."""
    if not isinstance(text, str):
        raise DCALError(f"{what} must be text, got {type(text).__name__}.")
    return text


def checked_texts(what: str, texts: Any) -> list[str]:
    """A list of strings; None is an empty one. Raises DCALError, naming `what`, for anything else."""
    if texts is None:
        return []
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise DCALError(f"{what} must be a list of texts.")
    return list(texts)


def checked_number(what: str, number: Any, low: float, high: float) -> float:
    """A finite number in [low, high]. Raises DCALError, naming `what`, for anything else."""
    if not _is_number(number) or not low <= number <= high:
        raise DCALError(f"{what} must be a number from {low:g} to {high:g}, got {number!r}.")
    return float(number)


def checked_flag(what: str, flag: Any) -> bool:
    """True or False. Raises DCALError, naming `what`, for anything else."""
    if not isinstance(flag, bool):
        raise DCALError(f"{what} must be true or false, got {flag!r}.")
    return flag


def _is_number(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool)


def checked_look(colormap: Any, opacity: Any, smooth: Any) -> dict[str, Any]:
    """How maps are drawn, as keyword arguments of `dcal.draw.overlay`. Raises DCALError, naming the wrong one."""
    return {
        "colormap": check_choice("colour map", checked_text("colormap", colormap), draw.COLORMAPS),
        "opacity": checked_number("opacity", opacity, 0, 1),
        "smooth": checked_flag("smooth", smooth),
    }
