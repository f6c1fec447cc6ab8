"""Data sets in their official layouts and of the user's own, and images as training samples."""

from collections.abc import Mapping
from pathlib import Path

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


def data_sets(task: str) -> Mapping[str, type[Labelled] | type[ReID]]:
    """The data sets of a task, by name: "fgvc" has labelled images, "reid" images with identities."""
    return DATASETS if task == "fgvc" else REID_DATASETS


def place_of(task: str, name: str, root: Path | None) -> Path:
    """`root` itself, or where the data set lies that comes with this package. Raises DCALError if neither is there."""
    home = data_sets(task)[check_choice("dataset", name, data_sets(task))].home
    place = home if root is None else root
    if place is None:
        raise DCALError(f"data_root (--data-root) is not set: give the folder that holds {name!r}")
    return place
