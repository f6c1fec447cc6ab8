"""Who is compared: ours, the usual way, and public code where a checkout of it is given; none of it is kept here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from benchmarks import dense
from benchmarks.crowd import Crowd
from dcal.retrieval import Quality, Reranking, evaluate, evaluate_features, rerank

Figures = dict[str, np.ndarray]
Calls = dict[str, Callable[[], Figures]]


@dataclass(frozen=True)
class Peers:
    """Checkouts of KaiyangZhou/deep-person-reid and JDAI-CV/fast-reid from GitHub, with their Cython code built."""

    torchreid: str | None = None
    fastreid: str | None = None

    def load(self) -> dict[str, ModuleType]:
        """The compiled ranking code of each that is given."""
        places = {"torchreid": "torchreid/metrics/rank_cylib", "fastreid": "fastreid/evaluation/rank_cylib"}
        return {
            name: compiled(Path(root) / place)
            for name, place in places.items()
            if (root := getattr(self, name)) is not None
        }


def ranking(crowd: Crowd, peers: Peers) -> Calls:
    """From a distance matrix that exists already."""
    distances = dense.distances(crowd)
    return {"ours": lambda: figures(evaluate(distances, *crowd.labels))} | others(lambda: distances, crowd, peers)


def from_features(crowd: Crowd, peers: Peers) -> Calls:
    """From features to the figures."""
    return ours_from_features(crowd, peers) | others(lambda: dense.distances(crowd), crowd, peers)


def in_double_precision(crowd: Crowd) -> Figures:
    """What a ranking from features has to give."""
    return named(dense.evaluate(dense.exact_distances(crowd), *crowd.labels))


def ours_from_features(crowd: Crowd, peers: Peers) -> Calls:
    """Ours alone, at sizes where the others do not fit."""
    return {"ours": lambda: figures(evaluate_features(crowd.queries, crowd.gallery, *crowd.labels))}


def others(distances: Callable[[], np.ndarray], crowd: Crowd, peers: Peers) -> Calls:
    """Everybody else's ranking of the distances."""

    def usual() -> Figures:
        return named(dense.evaluate(distances(), *crowd.labels))

    def cython(module: ModuleType) -> Figures:
        return of_cython(module.evaluate_cy(distances(), *crowd.labels, dense.MAX_RANK))

    return {"usual": usual} | {name: partial(cython, module) for name, module in peers.load().items()}


def reranking(crowd: Crowd, peers: Peers) -> Calls:
    """From features to re-ranked distances, as torchreid hands them to its code: squared."""
    settings = Reranking(distance="squared")
    calls: Calls = {
        "ours": lambda: {"distances": rerank(crowd.queries, crowd.gallery, settings)},
        "usual": lambda: {"distances": dense.rerank(crowd)},
    }
    if peers.torchreid is not None:
        calls["torchreid"] = partial(torchreid_reranked, Path(peers.torchreid), crowd)
    return calls


NAMES = ("mAP", "mINP", "cmc")


def named(found: tuple) -> Figures:
    return {name: np.asarray(value) for name, value in zip(NAMES, found, strict=True)}


def figures(quality: Quality) -> Figures:
    return {"mAP": np.asarray(quality.mAP), "mINP": np.asarray(quality.mINP), "cmc": quality.cmc}


def of_cython(found: tuple) -> Figures:
    """From (CMC, mAP), which torchreid returns, or (CMC, every AP, every INP), fast-reid's."""
    return {name: np.mean(values, dtype=np.float64) for name, values in zip(NAMES, found[1:], strict=False)} | {
        "cmc": found[0]
    }


def torchreid_reranked(root: Path, crowd: Crowd) -> Figures:
    """As torchreid's engine does it."""
    measure = module(root / "torchreid/metrics/distance.py").compute_distance_matrix
    queries, gallery = torch.from_numpy(crowd.queries), torch.from_numpy(crowd.gallery)
    pairs = ((queries, gallery), (queries, queries), (gallery, gallery))
    reranked = module(root / "torchreid/utils/rerank.py").re_ranking
    return {"distances": reranked(*(measure(*pair).numpy() for pair in pairs))}


def compiled(folder: Path) -> ModuleType:
    found = sorted(folder.glob("rank_cy*.so"))
    if not found:
        raise SystemExit(
            f"no rank_cy*.so in {folder}: build it there with `python setup.py build_ext --inplace` "
            "(it needs Cython, setuptools and a C compiler)"
        )
    return module(found[0], "rank_cy")


def module(path: Path, name: str | None = None) -> ModuleType:
    """One file of somebody's package, without the package, whose imports may be missing here."""
    specification = importlib.util.spec_from_file_location(name or path.stem, path)
    if specification is None or specification.loader is None:
        raise SystemExit(f"{path} is no Python module")
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded
