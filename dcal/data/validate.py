"""Checks a data set before training: what is there against what should be."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from dcal.data.base import SKIP_FILE, DataSet, first, read_lines
from dcal.data.records import ImageRecord
from dcal.data.workers import loaded
from dcal.errors import DCALError, ImageError
from dcal.files import write_whole
from dcal.progress import OnProgress, silent

CHUNK = 16  # images that a process decodes per message
SHOWN = 20  # names in the text; the JSON has all


@dataclass(frozen=True)
class Decoded:
    """The result of decoding one image: its size and its file's digest, or why it cannot be read."""

    height: int = 0
    width: int = 0
    digest: str = ""
    problem: str = ""


@dataclass(frozen=True)
class SplitReport:
    """One split: `found` against `expected` counts (empty where unknown), and what is wrong with it.

    `unreadable` maps each image that cannot be decoded to the reason, `missing` names those that are not there.
    `sizes` is ((height, width) of the smallest, of the largest image by area), None if none could be read.
    """

    split: str
    summary: str
    found: dict[str, int] = dataclasses.field(default_factory=dict)
    expected: dict[str, int] = dataclasses.field(default_factory=dict)
    whole: bool = False
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    missing: tuple[str, ...] = ()
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A data set's splits. `ok`: nothing is wrong with any of them; notes and subsets are no fault."""

    dataset: str
    splits: tuple[SplitReport, ...]

    @property
    def ok(self) -> bool:
        return not any(split.problems for split in self.splits)

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        return "\n".join(line for split in self.splits for line in describe(split))


def check(kind: type[DataSet[Any]], root: str | Path, workers: int = 2, on_progress: OnProgress = silent) -> Report:
    """Read every split of a data set and decode every image, in several processes; `on_progress` counts the images.

    Raises DCALError where no split can be read at all, a wrong root above all; whatever else is wrong is reported.
    """
    opened = open_splits(kind, root)
    records = {split: present(data) for split, data in opened.items() if isinstance(data, DataSet)}
    decoded = iter(decode_all([record for own in records.values() for record in own], workers, on_progress))
    reports: list[SplitReport] = []
    train: dict[str, str] = {}
    for split, data in opened.items():
        if isinstance(data, DCALError):
            reports.append(SplitReport(split, f"{kind.title}, {split} split", problems=(str(data),)))
            continue
        results = {data.shown(record.path): next(decoded) for record in records[split]}
        reports.append(report(data, results, train))
        if split == "train":
            train = {each.digest: name for name, each in results.items() if each.digest}
    return Report(kind.title, tuple(reports))


def skip_unreadable(kind: type[DataSet[Any]], root: str | Path, found: Report) -> Path | None:
    """Name the images that `found` could not read in the data set's `SKIP_FILE`, which leaves them out everywhere.

    Its path comes back, None if there are none.
    """
    names = {name for split in found.splits for name in split.unreadable}
    if not names:
        return None
    folder = next(data.root for data in open_splits(kind, root).values() if isinstance(data, DataSet))
    path = folder / SKIP_FILE
    before = read_lines(path) if path.is_file() else []
    write_whole("".join(f"{name}\n" for name in [*before, *sorted(names - set(before))]).encode(), path)
    return path


def open_splits(kind: type[DataSet[Any]], root: str | Path) -> dict[str, DataSet[Any] | DCALError]:
    """Every split, or why it cannot be read. Raises DCALError if none can."""
    opened: dict[str, DataSet[Any] | DCALError] = {}
    for split in kind.splits:
        try:
            opened[split] = kind(root, split, strict=False)
        except DCALError as error:
            opened[split] = error
    if all(isinstance(data, DCALError) for data in opened.values()):
        raise DCALError("; ".join(dict.fromkeys(str(error) for error in opened.values())))
    return opened


def present(data: DataSet[Any]) -> list[ImageRecord]:
    """The split's records whose files are there."""
    missing = set(data.missing)
    return [record for record in data.records if record.path not in missing]


def report(data: DataSet[Any], decoded: Mapping[str, Decoded], train: Mapping[str, str]) -> SplitReport:
    """The report of one split; `train` maps the digests of the training images to their names."""
    unreadable = {name: each.problem for name, each in decoded.items() if each.problem}
    problems, notes = data.problems(), list(data.notes)
    if unreadable:
        problems.append(f"{len(unreadable)} of the {len(data)} images cannot be read: {first(unreadable)}")
    if shared := [f"{name} = {train[each.digest]}" for name, each in decoded.items() if each.digest in train]:
        notes.append(f"{len(shared)} images are byte for byte images of the training split: {first(shared)}")
    if twice := twice_labelled(data, decoded):
        notes.append(f"{len(twice)} images have a twin, byte for byte, with another label: {first(twice)}")
    sizes = [(each.height, each.width) for each in decoded.values() if not each.problem]
    return SplitReport(
        split=data.split,
        summary=str(data),
        found=data.found(),
        expected=dict(data.expected),
        whole=data.whole,
        sizes=(min(sizes, key=math.prod), max(sizes, key=math.prod)) if sizes else None,
        missing=tuple(data.shown(path) for path in data.missing),
        unreadable=unreadable,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def twice_labelled(data: DataSet[Any], decoded: Mapping[str, Decoded]) -> list[str]:
    """ "image = image" for every image of the split that is also there under another label (Re-ID: identity)."""
    labels: dict[str, tuple[str, int]] = {}
    found = []
    for record in data.records:
        name = data.shown(record.path)
        label = getattr(record, "label", getattr(record, "identity", 0))
        digest = decoded[name].digest if name in decoded else ""
        if digest and labels.setdefault(digest, (name, label))[1] != label:
            found.append(f"{name} = {labels[digest][0]}")
    return found


class Decoding(Dataset[Decoded]):
    """Every image decoded once. One that cannot be read is a result, not an error."""

    def __init__(self, records: Sequence[ImageRecord]) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Decoded:
        record = self.records[index]
        try:
            image = record.open()
            return Decoded(image.height, image.width, hashlib.sha256(record.path.read_bytes()).hexdigest())
        except (ImageError, OSError) as error:
            return Decoded(problem=str(error).removeprefix(f"{record.path}: "))


def decode_all(records: Sequence[ImageRecord], workers: int, on_progress: OnProgress = silent) -> list[Decoded]:
    """The result of decoding each image, in order; `workers` processes (0: this one alone)."""
    loader = DataLoader(Decoding(records), batch_size=CHUNK, num_workers=workers, collate_fn=list)
    decoded: list[Decoded] = []
    for chunk in loaded(loader):
        decoded += chunk
        on_progress("decoding", len(decoded), len(records))
    return decoded


def require_readable(records: Sequence[ImageRecord], workers: int, on_progress: OnProgress = silent) -> None:
    """Raises ImageError, naming the first ones and the reason, if an image cannot be decoded."""
    decoded = decode_all(records, workers, on_progress)
    broken = [(record.path, each.problem) for record, each in zip(records, decoded, strict=True) if each.problem]
    if not broken:
        return
    (path, problem), others = broken[0], [str(path) for path, _ in broken[1:]]
    more = f" {len(others)} more cannot be read: {first(others)}." if others else ""
    raise ImageError(
        f"{path}: {problem}{more} Nothing was trained yet. Mend or remove such images (`dcal data check` lists them, "
        "and with --skip-unreadable leaves them out from then on), or begin without this check: --no-check-images"
    )


def describe(split: SplitReport) -> list[str]:
    """A split's report as lines of text."""
    lines = [split.summary]
    if split.sizes:
        (small_height, small_width), (large_height, large_width) = split.sizes
        lines.append(f"  sizes: {small_width}×{small_height} to {large_width}×{large_height} pixels (width × height)")
    extra = [note for note in split.notes if note not in split.summary]
    lines += [f"  note: {note}" for note in extra] + [f"  WRONG: {problem}" for problem in split.problems]
    lines += listed("missing", list(split.missing))
    lines += listed("unreadable", [f"{name}: {reason}" for name, reason in split.unreadable.items()])
    return lines if split.problems else [*lines, "  no problems found"]


def listed(what: str, names: Sequence[str]) -> list[str]:
    more = [f"    … and {len(names) - SHOWN} more, all of them in --json"] if len(names) > SHOWN else []
    return [f"    {what}: {name}" for name in names[:SHOWN]] + more
