"""Market-1501, DukeMTMC-reID and MSMT17 (persons) in the layouts of their official archives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from dcal.data.base import find_root, table
from dcal.data.reid.base import ReID, Row, whole_splits
from dcal.data.reid.folder import FolderPerSplit
from dcal.errors import DCALError


class Market1501(FolderPerSplit):
    """Market-1501: `0002_c1s1_000451_03.jpg` is identity 2, camera 1.

    The gallery's identity -1 is junk (bad detections, 3,819 images), its identity 0 a distractor (2,798). Without the
    junk the gallery has the 15,913 images of published results; the folder has 19,732.
    """

    title = "Market-1501"
    terms = (
        "Market-1501 (Zheng, Shen, Tian, Wang, Wang and Tian, 2015): images of persons, for research only; none of "
        "them is in this repository."
    )
    archive = "Market-1501-v15.09.15"
    pattern = r"(?P<identity>-1|\d+)_c(?P<camera>\d+)s\d+_"
    junk, distractor = -1, 0
    official = whole_splits(train=(751, 12936), query=(750, 3368), gallery=(750, 15913))


class DukeMTMC(FolderPerSplit):
    """DukeMTMC-reID: `0001_c2_f0046182.jpg` is identity 1, camera 2.

    The gallery's distractors, 408 persons without a query, have identities of their own.
    """

    title = "DukeMTMC-reID"
    terms = (
        "DukeMTMC-reID (Ristani, Solera, Zou, Cucchiara and Tomasi, 2016; Zheng, Zheng and Yang, 2017): images of "
        "persons without their consent; its makers withdrew it in 2019. None of them is in this repository."
    )
    archive = "DukeMTMC-reID"
    pattern = r"(?P<identity>\d+)_c(?P<camera>\d+)_"
    official = whole_splits(train=(702, 16522), query=(702, 2228), gallery=(1110, 17661))


class MSMT17(ReID):
    """MSMT17, first or second version (the second's folders are mask_train_v2 and mask_test_v2).

    The training split is the lists train and val together, 32,621 images, as in the results of DCAL, TransReID and
    most others. The identities of training and test are numbered apart: equal numbers are different persons.
    """

    title = "MSMT17"
    terms = (
        "MSMT17 (Wei, Zhang, Gao and Tian, 2018): images of persons, for research only, under an agreement with its "
        "makers; none of them is in this repository."
    )
    archive = "MSMT17_V1"
    official = whole_splits(train=(1041, 32621), query=(3060, 11659), gallery=(3060, 82161))
    one_numbering = False
    lists: ClassVar = {"train": ("train", "val"), "query": ("query",), "gallery": ("gallery",)}

    def rows(self) -> Sequence[Row]:
        files = tuple(f"list_{name}.txt" for names in self.lists.values() for name in names)
        tried = (self.root, self.root / "MSMT17_V1", self.root / "MSMT17_V2", self.root / "MSMT17")
        self.root = find_root(self.title, tried, files)
        return [row for split, names in self.lists.items() for name in names for row in self._listed(split, name)]

    def _listed(self, split: str, name: str) -> list[Row]:
        """The rows of one list: '0000/0000_000_01_0303morning_0008_0.jpg 0' is identity 0, camera 1."""
        half = "train" if split == "train" else "test"
        folders = [self.root / half, self.root / f"mask_{half}_v2"]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise DCALError(f"{self.root} has neither a folder {folders[0].name} nor {folders[1].name}")
        rows = []
        for file, identity in table(self.root / f"list_{name}.txt").items():
            fields = Path(file).name.split("_")
            if len(fields) < 3 or not (fields[2].isdecimal() and identity.isdecimal()):
                raise DCALError(
                    f"{self.root / f'list_{name}.txt'}: expected 'FOLDER/IDENTITY_NUMBER_CAMERA_….jpg IDENTITY', "
                    f"got {file} {identity}"
                )
            rows.append(Row(split, folder / file, identity, fields[2]))
        return rows
