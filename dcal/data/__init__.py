"""Data sets in their official layouts and of the user's own, and images as training samples."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from dcal.data.fgvc.aircraft import Aircraft
from dcal.data.fgvc.base import Labelled
from dcal.data.fgvc.cars import Cars
from dcal.data.fgvc.csv import Listing
from dcal.data.fgvc.cub import CUB
from dcal.data.fgvc.folder import FlatFolder, Folder
from dcal.data.fgvc.yard import YardModels
from dcal.data.reid.base import ReID
from dcal.data.reid.csv import ReIDCsv
from dcal.data.reid.folder import PatternFolder
from dcal.data.reid.persons import MSMT17, DukeMTMC, Market1501
from dcal.data.reid.vehicles import Vehicle2Cam, VeRi776
from dcal.data.reid.yard import Yard
from dcal.errors import DCALError, check_choice

DATASETS: dict[str, type[Labelled]] = {
    "cub": CUB,
    "cars": Cars,
    "aircraft": Aircraft,
    "folder": Folder,
    "flat-folder": FlatFolder,
    "csv": Listing,
    "yard": YardModels,
}

REID_DATASETS: dict[str, type[ReID]] = {
    "market1501": Market1501,
    "dukemtmc": DukeMTMC,
    "msmt17": MSMT17,
    "veri776": VeRi776,
    "vehicle2cam": Vehicle2Cam,
    "reid-folder": PatternFolder,
    "reid-csv": ReIDCsv,
    "yard": Yard,
}


UNPACKED = Path("data")  # below the working folder: where data sets usually lie
ENTRY_POINTS = "dcal.datasets"  # the group by which an installed package offers its data sets, NAME = "module:Class"


def register(name: str, kind: type[Any]) -> None:
    """Add a data set from outside this package: a subclass of `Labelled` or of `ReID`, under a name of its own.

    From then on it is a data set like the others, for the command line, too. Raises DCALError for a name that is
    taken by another class, and for a class that is neither.
    """
    if not issubclass(kind, Labelled | ReID):
        raise DCALError(f"a data set is a subclass of dcal.data.Labelled or dcal.data.ReID, not {kind!r}")
    tables: dict[str, Any] = DATASETS if issubclass(kind, Labelled) else REID_DATASETS
    if tables.setdefault(name, kind) is not kind:
        raise DCALError(f"there is a data set {name!r} already, {tables[name].__qualname__}: choose another name")


@cache
def load_entry_points() -> None:
    """Register the data sets that installed packages offer in the group `ENTRY_POINTS`, once.

    Raises DCALError, naming the package's entry, where one cannot be imported.
    """
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            register(entry.name, entry.load())
        except (ImportError, AttributeError) as error:
            raise DCALError(
                f"the data set {entry.name!r} of an installed package ({entry.value}) cannot be imported: {error}"
            ) from error


def data_sets(task: str) -> Mapping[str, type[Labelled] | type[ReID]]:
    """The data sets of a task, by name: "fgvc" has labelled images, "reid" images with identities."""
    load_entry_points()
    return DATASETS if task == "fgvc" else REID_DATASETS


def place_of(task: str, name: str, root: Path | None) -> Path:
    """Where a data set lies: `root` itself; else in this package, or where an official archive was unpacked.

    That is in the working folder or in `data/` there, under the archive's own name. Raises DCALError if it is nowhere.
    """
    kind = data_sets(task)[check_choice("dataset", name, data_sets(task))]
    if (place := kind.home if root is None else root) is not None:
        return place
    tried = [] if kind.archive is None else [Path(kind.archive), UNPACKED / kind.archive]
    for place in tried:
        if place.is_dir():
            return place
    looked = f", and there is no folder {' nor '.join(map(str, tried))}" if tried else ""
    raise DCALError(f"data_root (--data-root) is not set{looked}: give the folder that holds {name!r}")
