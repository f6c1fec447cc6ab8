"""Data sets in their official layouts, and photos as training samples."""

from dcal.data.cub import CUB

DATASETS = {"cub": CUB}
