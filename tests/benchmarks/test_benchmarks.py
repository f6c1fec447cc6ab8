"""What the benchmarks compare ours with must compute the same, and be a fair copy of the usual way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import rivals
from benchmarks.crowd import MARKET, MSMT17, Crowd, crowd
from benchmarks.retrieval import SAME, Case, difference
from benchmarks.rivals import Peers

SIZE = MARKET.divided(16)  # 210 × 994


@pytest.fixture(scope="module")
def people() -> Crowd:
    return crowd(SIZE, noise=4.0)


def test_a_crowd_has_the_numbers_of_its_data_set(people: Crowd):
    assert (SIZE.queries, SIZE.gallery, SIZE.distractors, SIZE.identities) == (210, 994, 174, 46)
    assert people.queries.shape == (210, 768) and people.gallery.shape == (994, 768)
    assert (people.gallery_ids == 0).sum() == 174 and people.query_ids.min() > 0
    assert set(people.gallery_ids) == set(range(47)) and set(people.query_cameras) == set(range(1, 7))
    assert people.queries.dtype == people.gallery.dtype == np.float32
    assert (MSMT17.queries, MSMT17.gallery) == (11_659, 82_161)


@pytest.mark.parametrize("task", [rivals.ranking, rivals.from_features, rivals.reranking])
def test_the_usual_way_computes_what_ours_does(task, people: Crowd):
    found = {name: call() for name, call in task(people, Peers()).items()}
    case = Case("ranking", SIZE)
    assert set(found) == {"ours", "usual"}
    assert difference(case, "usual", found["usual"], found["ours"]) <= SAME
    assert all(0.02 < value.mean() < 0.99 for value in found["usual"].values()), "too easy or too hard to tell anything"
    what, value = next(iter(found["usual"].items()))
    with pytest.raises(AssertionError, match="ours and usual differ by"):
        difference(case, "usual", {**found["usual"], what: value + 1e-5}, found["ours"])


def test_a_checkout_without_its_code_built(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"no rank_cy.*build it there with `python setup.py build_ext --inplace`"):
        Peers(fastreid=str(tmp_path)).load()
