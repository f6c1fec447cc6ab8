"""Maps of fixed images after every epoch: what is kept, that training is not disturbed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import dcal
from dcal.data.fgvc.cub import CUB
from dcal.data.samples import ImageSamples
from dcal.errors import DCALError
from dcal.evaluation.image_results import zipped
from dcal.training import epoch_maps
from tests.fixtures.damage import DAMAGES, damage
from tests.fixtures.full_disk import full_disk
from tests.fixtures.tiny_cub import write_cub

SIZE = (48, 80)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> ImageSamples:
    root = write_cub(tmp_path_factory.mktemp("data"))
    return ImageSamples(CUB(root).records, dcal.Preprocess(size=SIZE), augment=True)


def test_maps_are_those_of_an_inspection_and_come_back(samples: ImageSamples, tmp_path: Path) -> None:
    model = dcal.create_model("test_vit", 3, img_size=SIZE, preprocess=samples.preprocess).train()
    images = epoch_maps.fixed_images(samples, 3)
    before = torch.get_rng_state()
    maps = epoch_maps.maps_of(model, images)
    assert model.training and torch.equal(before, torch.get_rng_state())
    epoch_maps.write_images(images, tmp_path)
    epoch_maps.write_maps(maps, 1, tmp_path)
    epoch_maps.write_maps(maps, 12, tmp_path)
    assert epoch_maps.epochs_of(tmp_path) == [1, 12]
    assert np.array_equal(epoch_maps.read_images(tmp_path), images)
    found = epoch_maps.read_maps(tmp_path, 12).maps
    seen = dcal.inspect(model.eval(), samples.records[-1].path)
    for name, own in (("rollout", seen.sa_map), ("glca_input", seen.glca_input_map)):
        np.testing.assert_allclose(found[name][-1], own, rtol=2e-3, atol=1e-6)


def test_drawings(samples: ImageSamples) -> None:
    images = epoch_maps.fixed_images(samples, 2)
    own = np.zeros((2, 3, 5), dtype=np.float32)
    own[:, 0, 0] = 1
    drawn = epoch_maps.drawings(images, {"rollout": own}, opacity=1.0)
    assert len(drawn) == 2 and drawn[0].shape == (*SIZE, 3)
    assert len(np.unique(drawn[0].reshape(-1, 3), axis=0)) == 2  # the strongest patch, and all others
    with pytest.raises(DCALError, match="there is no map 'glca_input'; there are rollout"):
        epoch_maps.drawings(images, {"rollout": own}, "glca_input")


def test_a_run_without_maps_and_a_damaged_file(tmp_path: Path) -> None:
    assert epoch_maps.read_images(tmp_path) is None and epoch_maps.epochs_of(tmp_path) == []
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "epoch-0002.npz").write_bytes(b"PK cut off")
    with pytest.raises(DCALError, match=r"maps/epoch-0002.npz cannot be read"):
        epoch_maps.read_maps(tmp_path, 2)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_maps_and_images_are_named(tmp_path: Path, kind: str) -> None:
    epoch_maps.write_images(np.random.default_rng(0).integers(0, 255, (2, 9, 7, 3), dtype=np.uint8), tmp_path)
    epoch_maps.write_maps({"rollout": np.random.default_rng(1).random((2, 3, 5), dtype=np.float32)}, 1, tmp_path)
    for name in ("images.npz", "epoch-0001.npz"):
        damage(tmp_path / "maps" / name, kind)
    with pytest.raises(DCALError, match=r"maps/images.npz cannot be read"):
        epoch_maps.read_images(tmp_path)
    with pytest.raises(DCALError, match=r"maps/epoch-0001.npz cannot be read"):
        epoch_maps.read_maps(tmp_path, 1)


def test_files_of_something_else_are_named(tmp_path: Path) -> None:
    maps, images = np.zeros((2, 3, 5), np.float32), np.zeros((3, 9, 7, 3), np.uint8)
    (tmp_path / "maps").mkdir()
    for arrays in ({}, {"other": maps}, {"rollout": maps[0]}, {"rollout": images}):
        (tmp_path / "maps" / "images.npz").write_bytes(zipped(arrays))
        (tmp_path / "maps" / "epoch-0001.npz").write_bytes(zipped(arrays))
        with pytest.raises(DCALError, match=r"maps/images.npz cannot be read \(it holds no RGB images"):
            epoch_maps.read_images(tmp_path)
        with pytest.raises(DCALError, match=r"maps/epoch-0001.npz cannot be read \(it holds something else"):
            epoch_maps.read_maps(tmp_path, 1)
    epoch_maps.write_maps({"rollout": maps}, 1, tmp_path)
    assert len(epoch_maps.read_maps(tmp_path, 1, 2).maps["rollout"]) == 2
    with pytest.raises(DCALError, match=r"maps/epoch-0001\.npz cannot be read .* other than the run's 3 images"):
        epoch_maps.read_maps(tmp_path, 1, 3)


def test_a_full_disk_leaves_no_half_file_and_the_earlier_maps(tmp_path: Path) -> None:
    epoch_maps.write_images(np.zeros((1, 8, 8, 3), dtype=np.uint8), tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()}
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        epoch_maps.write_images(noise, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()} == before


def test_a_page_learns_no_path_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(DCALError, match=r"^maps/epoch-0007\.npz cannot be read \(No such file or directory\)$"):
        epoch_maps.read_maps(tmp_path, 7)
