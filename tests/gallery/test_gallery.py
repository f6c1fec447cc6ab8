"""Searching a gallery against loops over its images, and what must not change an answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcal.errors import DCALError
from dcal.gallery import EmbeddedGallery, Exclusion, Gallery, Item
from dcal.gallery import base as search_module
from dcal.model.checkpoint import fingerprint
from tests.fixtures.tiny_gallery import (
    CAMERAS,
    IDENTITIES,
    ORIGIN,
    D,
    N,
    naive_search,
    random_gallery,
    random_items,
    random_rows,
    tiny_model,
)

ROOT = Path(__file__).resolve().parents[2]
Q = 5
CASES: dict[str, dict[str, Any]] = {
    "all": {},
    "one camera": {"cameras": ["c2"]},
    "cameras and identities": {"cameras": ["c0", "c3"], "identities": ["1", "4", "5"]},
    "a camera and none that is known": {"cameras": ["c1", None]},
    "nobody that is known": {"identities": [None]},
    "nothing left": {"cameras": ["c0"], "identities": []},
}


def own_exclusions() -> list[Exclusion]:
    """For five queries: nothing, an image, an identity by a camera, both, and names that the gallery lacks."""
    items = random_items()
    return [
        Exclusion(),
        Exclusion(path=items[17].path),
        Exclusion(identity=items[3].identity, camera=items[3].camera),
        Exclusion(items[8].path, items[8].identity, items[8].camera),
        Exclusion("elsewhere.jpg", "99", "c1"),
    ]


def is_left_out(rule: Exclusion, item: Item) -> bool:
    own_camera = rule.identity is not None and (item.identity, item.camera) == (rule.identity, rule.camera)
    return item.path == rule.path or own_camera


def assert_like_a_loop(gallery: Gallery, k: int, exclude: list[Exclusion] | None, filters: dict) -> None:
    queries, items, rows = random_rows(Q, seed=9), random_items(), random_rows(N)
    hits = gallery.search(queries, k, exclude=exclude, **filters)
    assert hits.indices.shape == hits.similarities.shape == (Q, k) and hits.indices.dtype == np.int64

    for row in range(Q):
        rule = Exclusion() if exclude is None else exclude[row]

        def admitted(index: int, item: Item, rule: Exclusion = rule) -> bool:
            cameras, identities = filters.get("cameras"), filters.get("identities")
            inside = (cameras is None or item.camera in cameras) and (identities is None or item.identity in identities)
            return inside and not is_left_out(rule, item)

        expected = naive_search(items, rows, queries[row], k, admitted)
        left = len(expected)
        assert hits.indices[row].tolist() == [index for index, _ in expected] + [-1] * (k - left)
        np.testing.assert_allclose(hits.similarities[row, :left], [cosine for _, cosine in expected], atol=1e-6)
        assert np.isnan(hits.similarities[row, left:]).all()


@pytest.mark.parametrize("k", [1, 13, N + 4])
@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_search_is_a_loop_over_the_images(case: str, excluding: bool, k: int):
    assert_like_a_loop(random_gallery(), k, own_exclusions() if excluding else None, CASES[case])


def test_more_queries_than_are_looked_up_at_a_time():
    gallery, queries = random_gallery(), random_rows(2 * search_module.BLOCK + 3, seed=5)
    together = gallery.search(queries, 3)
    for row, query in enumerate(queries):
        alone = gallery.search(query[None], 3)
        assert np.array_equal(together.indices[row], alone.indices[0])
        assert np.array_equal(together.similarities[row], alone.similarities[0])


def copies(count: int, of: int = 30) -> tuple[list[Item], np.ndarray]:
    """A gallery of which all images but every fifth are the same, near to no query in particular."""
    rows = np.repeat(random_rows(1, seed=4), count, axis=0)
    rows[::5] = random_rows(len(rows[::5]), seed=of)
    return [Item(f"{index}.jpg") for index in range(count)], rows


@pytest.mark.parametrize("queries", [1, 5])  # the two ways of the embedded engine
def test_equals_go_by_index_however_many_there_are(queries: int):
    items, rows = copies(600)
    gallery, near = EmbeddedGallery(items, rows, ORIGIN, "images"), random_rows(1, seed=4) + 0.1
    hits = gallery.search(np.repeat(near, queries, axis=0), 11)
    assert hits.indices.tolist() == [[index for index in range(600) if index % 5][:11]] * queries
    assert len(np.unique(hits.similarities)) == 1


def test_a_permutation_of_the_gallery_changes_nothing_but_indices():
    rows = np.concatenate([random_rows(N - 9), random_rows(9)])  # the last nine are the first nine again
    order = np.random.default_rng(2).permutation(N)
    items = random_items()
    gallery = EmbeddedGallery(items, rows, ORIGIN, "images")
    moved = EmbeddedGallery([items[index] for index in order], rows[order], ORIGIN, "images")
    queries = random_rows(Q, seed=9)
    a, b = gallery.search(queries, N), moved.search(queries, N)
    assert np.array_equal(a.similarities, b.similarities)
    for row in range(Q):
        assert sorted(order[b.indices[row]]) == list(range(N))
        for start in range(N):  # which of equals comes first may differ, the set of them may not
            same = a.similarities[row] == a.similarities[row, start]
            assert set(a.indices[row, same]) == set(order[b.indices[row, same]])


def test_a_duplicate_of_the_query_ranks_first():
    gallery, rows = random_gallery(), random_rows(N)
    hits = gallery.search(rows * np.float32(3.7), 4)
    assert hits.indices[:, 0].tolist() == list(range(N))
    np.testing.assert_allclose(hits.similarities[:, 0], 1, atol=1e-6)
    assert (hits.similarities <= 1).all() and (np.diff(hits.similarities) <= 0).all()


def test_a_gallery_says_what_it_is(tmp_path: Path):
    gallery = random_gallery()
    assert len(gallery) == N and gallery.width == D and gallery.fingerprint == ORIGIN.fingerprint
    assert gallery.cameras == tuple(f"c{k}" for k in range(CAMERAS))
    assert gallery.identities == tuple(map(str, range(IDENTITIES)))
    assert gallery.image_path(4) == gallery.image_path(gallery.items[4]) == Path("images/1/004.jpg")
    assert gallery.index_of("1/004.jpg") == 4 and gallery.index_of("004.jpg") is None
    np.testing.assert_allclose(np.linalg.norm(gallery.rows(np.arange(N)), axis=1), 1, atol=1e-6)


def test_what_cannot_be_asked_is_said():
    gallery, query = random_gallery(), random_rows(1)
    with pytest.raises(DCALError, match=r"\(images, 23\).*\(1, 22\)"):
        gallery.search(query[:, 1:])
    with pytest.raises(DCALError, match="1 of 1 query embeddings are all zeros or not finite"):
        gallery.search(query * 0)
    with pytest.raises(DCALError, match="not finite"):
        gallery.search(query * np.float32(np.nan))
    with pytest.raises(DCALError, match="no image has the cameras 'c9'; the gallery has 'c0', 'c1', 'c2', 'c3'"):
        gallery.search(query, cameras=["c1", "c9"])
    with pytest.raises(DCALError, match="no image has the identities '7'; the gallery has '0', '1'"):
        gallery.search(query, identities=["7"])
    with pytest.raises(DCALError, match="a list of names, got the text 'c1'"):
        gallery.search(query, cameras="c1")
    with pytest.raises(DCALError, match="k must be at least 1"):
        gallery.search(query, 0)
    with pytest.raises(DCALError, match="2 exclusions for 1 queries"):
        gallery.search(query, exclude=[Exclusion(), Exclusion()])
    with pytest.raises(DCALError, match="needs identity and camera, or neither"):
        Exclusion(identity="3")
    with pytest.raises(DCALError, match="a gallery has images"):
        EmbeddedGallery([], random_rows(0), ORIGIN, "images")
    with pytest.raises(DCALError, match="relative to the gallery's image folder"):
        Item("../image.jpg")
    with pytest.raises(DCALError, match="is not UTF-8: rename the file"):
        Item("image\udcff.jpg")
    with pytest.raises(DCALError, match="None, not empty"):
        Item("image.jpg", camera="")


def test_a_model_of_other_weights_is_refused():
    gallery, model = random_gallery(), tiny_model()
    with pytest.raises(DCALError, match=f"embedded by tiny .weights abababababab….*has the weights {'c' * 12}"):
        gallery.check_model("c" * 64)
    with pytest.raises(DCALError, match=fingerprint(model)[:12]):
        gallery.check_model(model)
    gallery.check_model("ab" * 32)


BOTH = """
import sys
import dcal, dcal_explorer.cli.main, dcal.training.train, dcal.evaluation.classification, dcal.gallery.build
assert not {"faiss", "pymilvus"} & sys.modules.keys()  # machines that only train may lack both
import numpy as np, torch
from dcal.gallery import EmbeddedGallery, Item, Origin
torch.set_num_threads(2)
rows = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
gallery = EmbeddedGallery([Item(str(i), camera=str(i % 3)) for i in range(3000)], rows, Origin("", "", {"sa": 64}), ".")
import faiss
faiss.omp_set_num_threads(2)
for _ in range(5):  # OpenMP of both, in turn
    product = torch.from_numpy(rows) @ torch.from_numpy(rows).T
    hits = gallery.search(rows[:200], 3, cameras=["0", "1", "2"])
    assert hits.indices[:, 0].tolist() == list(range(200))
    assert abs(product[7, 7].item() - float((rows[7].astype(float) ** 2).sum())) < 1e-3
print("well")
"""


def test_faiss_is_imported_late_and_lives_with_torch_in_one_process():
    run = subprocess.run([sys.executable, "-c", BOTH], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "well\n"), run.stderr
