"""Images sorted by identity: the command's groups are scikit-learn's, and both thresholds are told."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from dcal.errors import DCALError
from dcal.gallery import EmbeddedGallery, Item, Origin, rank
from dcal.gallery.groups import grouped
from dcal.gallery.storage import Stored, write_folder
from dcal.retrieval.calibration import Calibration, Curve
from dcal_explorer.cli.index import lines
from dcal_explorer.cli.main import main


def clusters(known: bool = True) -> EmbeddedGallery:
    """Three identities with seven images each, one of them unknown."""
    random = np.random.default_rng(4)
    centres = random.standard_normal((3, 8))
    rows = np.concatenate([centre + 0.6 * random.standard_normal((7, 8)) for centre in centres]).astype(np.float32)
    items = [Item(f"{i:02d}.jpg", str(i // 7) if known and i else None) for i in range(21)]
    return EmbeddedGallery(items, rows, Origin("ab" * 32, "tiny", {"sa": 8}), "images")


def test_groups_are_scikit_learn_s_and_judged_where_identities_are_known():
    gallery = clusters()
    found = grouped(gallery, 0.4)
    clustering = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=0.6)
    expected = clustering.fit_predict(gallery.embeddings)
    assert adjusted_rand_score(expected, found.numbers) == 1 and 1 < found.count < 21
    judged = grouped(clusters(), 0.4).summary
    assert judged is not None and (judged["images"], judged["identities"]) == (20, 3)
    assert judged["ari"] <= judged["best_ari"] + 1e-9
    assert grouped(clusters(known=False), 0.4).summary is None
    with pytest.raises(DCALError, match=r"Give --above, or fit it"):
        grouped(gallery)
    with pytest.raises(DCALError, match=r"lies in \[-1, 1\], got 40"):
        grouped(gallery, 40.0)


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    gallery = clusters()
    (tmp_path / "gallery").mkdir()
    write_folder(
        tmp_path / "gallery", Stored(tuple(gallery.items), gallery.embeddings, gallery.origin, Path("../images"))
    )
    out = tmp_path / "groups.csv"
    assert main(["index", "group", str(tmp_path / "gallery"), "--above", "0.4", "--out", str(out)]) == 0
    shown, found = capsys.readouterr().out, grouped(gallery, 0.4)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["path"] for row in rows] == [
        gallery.items[i].path for i in sorted(range(21), key=lambda i: (found.numbers[i], i))
    ]
    assert f"21 images in {found.count} groups" in shown and found.summary is not None
    assert f"ARI {found.summary['ari']:.3f} at 0.400; best possible {found.summary['best_ari']:.3f} at" in shown
    assert main(["index", "group", str(tmp_path / "gallery"), "--out", str(out)]) == 2
    assert "Give --above" in capsys.readouterr().err


def test_a_search_says_the_probability_and_what_is_probably_new() -> None:
    gallery = clusters()
    curve = Curve("logistic", (-1.0, 1.0), (0.0, 1.0), 4, 2)
    plain = list(lines(rank(gallery, gallery.embeddings[0], k=2)))
    assert "same" not in plain[0] and len(plain) == 3
    gallery.calibration = Calibration("ab" * 32, "by hand", curve, curve, 2.0, 0.5)
    shown = list(lines(rank(gallery, gallery.embeddings[0], k=2)))
    assert shown[0].split()[:3] == ["rank", "similarity", "same"] and shown[1].split()[:3] == ["1", "1.0000", "100%"]
    assert shown[-1].startswith("probably not in this gallery")
