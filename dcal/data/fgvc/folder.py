"""Any folder of class folders, with a split of its own or split here."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from dcal.data.base import first
from dcal.data.fgvc.base import Labelled
from dcal.data.records import Record
from dcal.errors import DCALError
from dcal.image import ENDINGS

TEST_SHARE = 0.2  # of each class of a folder that has no split


class ClassFolders(Labelled):
    """Images in folders named after their classes, at any depth below them; records and classes in order of name.

    An image is a file with one of `ENDINGS`, in capitals or not. Names that begin with a dot are ignored, other files
    are too and are counted in the notes; so are folders inside class folders, which may have been meant as classes.
    """

    title = "class folders"
    terms = "A folder of the user's own: who may use the images, and for what, is not known here."

    def read(self) -> tuple[Record, ...]:
        if not self.root.is_dir():
            raise DCALError(f"{self.root} is not a folder: {self.layout()}")
        self.title = f"class folders of {self.root.resolve().name}"
        chosen = self.choose()
        self.classes = tuple(sorted(chosen))
        return tuple(Record(path, label) for label, name in enumerate(self.classes) for path in sorted(chosen[name]))

    @abstractmethod
    def layout(self) -> str:
        """What is accepted, for messages."""

    @abstractmethod
    def choose(self) -> dict[str, list[Path]]:
        """The split's images by class, with an entry for every class of the data set."""

    def images(self, folder: Path) -> dict[str, list[Path]]:
        """{name: the images below} of every class folder in `folder`."""
        found = {child.name: list(files(child)) for child in sorted(folder.iterdir()) if is_shown(child, folder=True)}
        loose = [child.name for child in sorted(folder.iterdir()) if is_image(child)]
        if loose:
            raise DCALError(
                f"{len(loose)} images lie in {folder} itself, in no class folder: {first(loose)}. {self.layout()}"
            )
        other = sum(not is_image(path) for paths in found.values() for path in paths)
        if other:
            self.notes.append(f"{other:,} files in {folder.name} that are no images are ignored")
        kept = {name: [path for path in paths if is_image(path)] for name, paths in found.items()}
        self._note_nested(folder, kept)
        return kept

    def _note_nested(self, folder: Path, found: dict[str, list[Path]]) -> None:
        """Notes on classes whose images lie in several folders of their own."""
        leaves = {name: {path.parent for path in paths} for name, paths in found.items()}
        nested = {name: own for name, own in leaves.items() if len(own) > 1}
        if nested:
            example = first(sorted(leaf.relative_to(folder).as_posix() for leaf in next(iter(nested.values()))), 2)
            self.notes.append(
                f"{len(nested)} of the {len(found)} classes in {folder.name} have their images in folders inside the "
                f"class folder ({example}): each counts as one class; if the {sum(map(len, leaves.values()))} inner "
                "folders are the classes, move them up or list the images in a CSV file"
            )


class Folder(ClassFolders):
    """root/train/CLASS/… and root/test/CLASS/…; where there is no test/, root/val/ is the test split.

    The classes are the folders of train/, each of which must hold an image. One in test/ that train/ lacks is an
    error; the other way round the class has no test images, and the notes list it.
    """

    def layout(self) -> str:
        return "Expected are train/CLASS/*.jpg and test/CLASS/*.jpg (or val/CLASS/*.jpg)"

    def choose(self) -> dict[str, list[Path]]:
        test = "test" if (self.root / "test").is_dir() else "val"
        if lacking := [name for name in ("train", test) if not (self.root / name).is_dir()]:
            lacks = " and ".join("test (or val)" if name == "val" else name for name in lacking)
            flat = "; for a folder without a split take the data set 'flat-folder'"
            raise DCALError(f"{self.root} lacks the folders {lacks}. {self.layout()}{flat}")
        training, tested = self.images(self.root / "train"), self.images(self.root / test)
        if empty := [name for name, paths in training.items() if not paths]:
            raise DCALError(f"{len(empty)} class folders in {self.root / 'train'} hold no image: {first(empty)}")
        if unknown := sorted(name for name, paths in tested.items() if paths and name not in training):
            raise DCALError(
                f"{len(unknown)} class folders in {self.root / test} are not in {self.root / 'train'}: {first(unknown)}"
            )
        if self.split == "train":
            return training
        if test == "val":
            self.notes.append("the test split is the folder val")
        elif (self.root / "val").is_dir():
            self.notes.append("the folder val is not used")
        if untested := [name for name in training if not tested.get(name)]:
            self.notes.append(f"{len(untested)} classes have no image in this split: {first(untested)}")
        return {name: tested.get(name, []) for name in training}


class FlatFolder(ClassFolders):
    """root/CLASS/… without a split: a fifth of each class, at least one image, is the test split.

    Which one follows from the images' names alone (in order of SHA-256 of CLASS/NAME), so it is the same on every
    machine. Images that belong together (frames of one film, views of one animal) can come apart into both splits,
    and then the test result is too good: give such data a split of its own.
    """

    def layout(self) -> str:
        return "Expected is CLASS/*.jpg, at least two images a class"

    def choose(self) -> dict[str, list[Path]]:
        found = self.images(self.root)
        if not found:
            raise DCALError(f"{self.root} holds no class folder. {self.layout()}")
        if set(found) <= {"train", "test", "val"}:
            raise DCALError(
                f"the folders in {self.root} are {', '.join(found)}, which look like splits: take the data set "
                "'folder' for train/CLASS/*.jpg and test/CLASS/*.jpg, or give the folder that holds the classes"
            )
        if small := [name for name, paths in found.items() if len(paths) < 2]:
            raise DCALError(f"{len(small)} class folders in {self.root} hold fewer than two images: {first(small)}")
        self.notes.append(f"split here by file name, {TEST_SHARE:.0%} of each class to test")
        return {name: self._half(paths) for name, paths in found.items()}

    def _half(self, paths: list[Path]) -> list[Path]:
        def draw(path: Path) -> str:
            return hashlib.sha256(path.relative_to(self.root).as_posix().encode()).hexdigest()

        ordered, tested = sorted(paths, key=draw), max(1, round(TEST_SHARE * len(paths)))
        return ordered[:tested] if self.split == "test" else ordered[tested:]


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder whose name, and its folders', does not begin with a dot."""
    for child in folder.iterdir():
        if is_shown(child, folder=True):
            yield from files(child)
        elif is_shown(child, folder=False):
            yield child


def is_shown(path: Path, folder: bool) -> bool:
    return not path.name.startswith(".") and (path.is_dir() if folder else path.is_file())


def is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and is_shown(path, folder=False)
