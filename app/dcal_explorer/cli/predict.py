"""`dcal predict`: the answers to many images as a table, a CSV file, or JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from dcal.errors import DCALError
from dcal_explorer.cli.parsing import parsed, show_json

if TYPE_CHECKING:
    from dcal.evaluation.predict import Prediction

DESCRIPTION = """The most probable classes of images; for a Re-ID checkpoint, the nearest identities of a gallery.

With --csv, rows are written as they are found, and the same command goes on after an interruption. Exit status 1 if
an image cannot be read; the others are answered.

examples:
  dcal predict a.jpg b.jpg --checkpoint checkpoints/cub50-full
  dcal predict my-images --checkpoint checkpoints/cub50-full --csv out.csv
  dcal predict my-images --checkpoint checkpoints/reid-full --gallery gallery --csv out.csv
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(predict, words, name, DESCRIPTION)


def predict(
    images: tyro.conf.Positional[tuple[Path, ...]],
    checkpoint: str,
    csv: Path | None = None,
    gallery: str | None = None,
    top: int = 5,
    batch_size: int = 32,
    workers: int = 2,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Predict.

    Args:
        images: image files, and folders whose images are all taken
        checkpoint: a checkpoint directory, a Hugging Face repository id, or an ONNX file of `dcal export`
        csv: a file to write to, a row an image
        gallery: reid: the gallery to search, a folder or a database
        top: how many answers to an image
        batch_size: images per forward pass
        workers: loader processes
        device: auto: cuda when there is one, else cpu
        json: print one JSON object instead of lines
    """
    from dcal.evaluation import predict as core
    from dcal.gallery import open_gallery
    from dcal.model.checkpoint import fingerprint, load_model
    from dcal_explorer.cli.progress import progress_bars

    listed = image_files(images)
    model = load_model(checkpoint, device)
    searched = None if gallery is None else open_gallery(gallery)
    core.check_task(model, searched)
    table = None if csv is None else Table(csv, top, fingerprint(model)[:12])
    waiting = [path for path in listed if table is None or str(path) not in table.done]
    failed, shown = 0, []
    with progress_bars() as on_progress, nullcontext() if table is None else closing(table):
        for found in core.predict(model, waiting, top, searched, batch_size, workers, on_progress):
            failed += bool(found.problem)
            if table is not None:
                table.write(found)
            elif json:
                shown.append({"image": str(found.image), "answers": found.answers, "problem": found.problem})
            else:
                print(line(found))
    if json:
        show_json({"checkpoint": checkpoint, "predictions": shown} if table is None else {"csv": str(csv)})
    if table is not None:
        passed = len(listed) - len(waiting)
        print(
            f"{len(waiting):,} images written to {csv}" + (f", {passed:,} were there" if passed else ""),
            file=sys.stderr,
        )
    return 1 if failed else 0


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the images below them, in order of path. Raises DCALError where there is none."""
    from dcal.gallery.sources import folder_images

    listed: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = folder_images(path)
            listed += [path / item.path for item in found.items]
            for note in found.notes:
                print(f"note: {note}", file=sys.stderr)
        elif path.is_file():
            listed.append(path)
        else:
            raise DCALError(f"there is no image or folder {path}")
    if not listed:
        raise DCALError("which images? Name files, or folders that hold them")
    return list(dict.fromkeys(listed))


def line(found: Prediction) -> str:
    answers = "  ".join(f"{name} {value:.3f}" for name, value in found.answers)
    return f"{found.image}  {found.problem or answers}"


class Table:
    """A CSV file of predictions that grows row by row; `done`: the images that it has already.

    Raises DCALError for a file that another command began: other columns, or other weights.
    """

    def __init__(self, path: Path, top: int, weights: str) -> None:
        self.path, self.top, self.weights = path, top, weights
        answers = [f"{name}_{number}" for number in range(1, top + 1) for name in ("answer", "value")]
        header = ["image", "weights", "problem", *answers]
        rows = self._read()
        self.done = {row[0] for row in rows[1:]}
        if rows and (rows[0] != header or any(row[1] != weights for row in rows[1:])):
            raise DCALError(f"{path} holds predictions of another command or other weights: choose another --csv")
        try:
            if not rows:
                path.parent.mkdir(parents=True, exist_ok=True)
            self.file = path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise DCALError(f"{path} cannot be written to ({error.strerror}): choose another --csv") from error
        self.writer = csv.writer(self.file)
        if not rows:
            self.writer.writerow(header)

    def _read(self) -> list[list[str]]:
        """The rows that were written whole; what a killed process left of its last one is cut off."""
        if not self.path.is_file():
            return []
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return [row for row in csv.reader(whole.decode("utf-8", errors="replace").splitlines()) if len(row) > 2]

    def close(self) -> None:
        self.file.close()

    def write(self, found: Prediction) -> None:
        cells = [cell for name, value in found.answers for cell in (name, f"{value:.6f}")]
        padding = [""] * (2 * self.top - len(cells))
        self.writer.writerow([str(found.image), self.weights, found.problem, *cells, *padding])
        self.file.flush()
