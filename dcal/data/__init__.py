"""Data sets in their official layouts and of the user's own, and photos as training samples."""

from dcal.data.aircraft import Aircraft
from dcal.data.cars import Cars
from dcal.data.cub import CUB
from dcal.data.folder import FlatFolder, Folder
from dcal.data.labelled import Labelled
from dcal.data.listing import Listing

DATASETS: dict[str, type[Labelled]] = {
    "cub": CUB,
    "cars": Cars,
    "aircraft": Aircraft,
    "folder": Folder,
    "flat-folder": FlatFolder,
    "csv": Listing,
}
