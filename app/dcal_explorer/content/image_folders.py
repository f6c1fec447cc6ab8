"""Where a data set's images lie: by the paths that `dcal eval` keeps, below the folders that a face was given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dcal.image import ENDINGS


def image_path(name: str, roots: Iterable[Path]) -> Path | None:
    """The image called `name`, a relative path, in the first of the roots (or of the folders in one) that has it.

    None if there is none, if `name` leads out of the roots, and if it is no image by its ending.
    """
    relative = Path(name)
    if relative.is_absolute() or relative.suffix.lower() not in ENDINGS or ".." in relative.parts:
        return None
    for root in roots:
        for folder in (root, *below(root)):
            if (folder / relative).is_file():
                return folder / relative
    return None


def below(root: Path) -> Sequence[Path]:
    """The folders directly in `root`: an archive's own, where `root` is its parent."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return ()
