"""Data sets in their official layouts and of the user's own, and photos as training samples."""

from dcal.data.aircraft import Aircraft
from dcal.data.cars import Cars
from dcal.data.cub import CUB
from dcal.data.folder import FlatFolder, Folder
from dcal.data.labelled import Labelled
from dcal.data.listing import Listing, ReIDListing
from dcal.data.pattern import PatternFolder
from dcal.data.persons import MSMT17, DukeMTMC, Market1501
from dcal.data.reid import ReID
from dcal.data.vehicles import Vehicle2Cam, VeRi776

DATASETS: dict[str, type[Labelled]] = {
    "cub": CUB,
    "cars": Cars,
    "aircraft": Aircraft,
    "folder": Folder,
    "flat-folder": FlatFolder,
    "csv": Listing,
}

REID_DATASETS: dict[str, type[ReID]] = {
    "market1501": Market1501,
    "dukemtmc": DukeMTMC,
    "msmt17": MSMT17,
    "veri776": VeRi776,
    "vehicle2cam": Vehicle2Cam,
    "reid-folder": PatternFolder,
    "reid-csv": ReIDListing,
}
