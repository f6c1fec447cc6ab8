"""`dcal eval --task reid`: figures with intervals, by camera and identity, re-ranked; the twins; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcal.analysis import AnalysisConfig
from dcal.data.fgvc.yard import YardModels
from dcal.data.reid.base import ReIDRecord
from dcal.data.reid.yard import Yard
from dcal.data.samples import ReIDSamples
from dcal.errors import DCALError
from dcal.evaluation.coarse_maps import MapRecorder
from dcal.evaluation.config import EvalConfig
from dcal.evaluation.image_results import read_image_results
from dcal.evaluation.predictions import QueryRanks
from dcal.evaluation.reid import QueryGallery
from dcal.evaluation.run import measure
from dcal.model.checkpoint import file_hash, load_checkpoint, save_checkpoint
from dcal.model.dcal import create_model
from dcal.model.embeddings import Embeddings, embed
from dcal.preprocess import Preprocess
from dcal.retrieval import Reranking, evaluate, evaluate_features
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_reid import write_coloured, write_yard
from tests.retrieval.test_reranking import by_the_paper

SIZE = (48, 80)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_yard(tmp_path_factory.mktemp("yard"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    options: dict[str, Any] = {"task": "reid", "preprocess": Preprocess(size=SIZE, crop_fraction=1.0), "top_ratio": 0.3}
    return save_checkpoint(create_model("test_vit", 3, img_size=SIZE, **options).eval(), tmp_path / "tiny")


def config(root: Path | None, checkpoint: Path, **changes: Any) -> EvalConfig:
    own = {"task": "reid", "dataset": "yard", "workers": 0, "device": "cpu"}
    return EvalConfig(**{"checkpoint": str(checkpoint), "data_root": root, **own, **changes})


def test_the_record_and_its_file(root: Path, checkpoint: Path):
    record, said = measure(config(root, checkpoint, rerank=True))
    records, model = Yard(root, "query").records, load_checkpoint(checkpoint)
    images = ReIDSamples(records, model.config.preprocess)
    found = embed(model, [torch.stack([images[index][0] for index in range(len(images))])])
    names, cameras = ([getattr(r, name) for r in records] for name in ("identity", "camera"))
    for prefix, values in (("", found.joined), ("sa_", found.sa), ("glca_", found.glca)):
        quality = evaluate_features(values, values, names, names, cameras, cameras)
        for name in ("mAP", "mINP", "rank1", "rank5"):
            value = quality.summary()[name]
            assert record[prefix + name] == pytest.approx(value, abs=1e-6), (prefix, name)
            low, high = record["intervals"][prefix + name]
            assert low <= value <= high and (low < high or value in (0, 1)), (prefix, name)
    whole = evaluate_features(found.joined, found.joined, names, names, cameras, cameras)
    for own in record["per_camera"]:
        here = np.array(cameras) == own["camera"]
        assert own["queries"] == here.sum() == 4 and own["mAP"] == pytest.approx(whole.ap[here].mean(), abs=1e-6)
        assert own["rank1"] == pytest.approx((whole.first[here] == 1).mean())
    assert [own["camera"] for own in record["per_camera"]] == [1, 3, 8]
    means = {own["identity"]: own["mAP"] for own in record["hardest"]}
    assert means.keys() == {"25", "26", "59", "60"} and list(means.values()) == sorted(means.values())
    assert means["59"] == pytest.approx(whole.ap[np.array(names) == 59].mean(), abs=1e-6)
    alone = []  # each query among the images of the other cameras
    for row, camera in enumerate(cameras):
        other = [index for index, own in enumerate(cameras) if own != camera]
        who = [[column[index] for index in other] for column in (names, cameras)]
        own = evaluate_features(found.joined[[row]], found.joined[other], [names[row]], who[0], [camera], who[1])
        alone.append((own.mAP, own.cmc[0]))
    across = record["across_cameras"]
    assert (across["mAP"], across["rank1"]) == pytest.approx(tuple(np.mean(alone, axis=0)), abs=1e-6)
    assert (
        across["mAP"] > record["mAP"] and across["queries"] == 12 and across["intervals"].keys() > {"mAP", "sa_rank1"}
    )
    distances = by_the_paper(found.joined.astype(np.float64), range(12), range(12), Reranking())  # each image once
    again = evaluate(distances, names, names, cameras, cameras)
    assert record["reranked"]["mAP"] == pytest.approx(again.mAP, abs=1e-6)
    assert record["fingerprint"] == file_hash(checkpoint / "model.safetensors") and "a subset" in record["dataset"]
    assert said == [f"written: {checkpoint / name}" for name in ("evaluation.json", "predictions.npz")]
    assert "analysis" not in record and json.loads((checkpoint / "evaluation.json").read_text()) == record
    kept = read_image_results(checkpoint, record["fingerprint"])
    assert kept is not None and isinstance(kept.answers, QueryRanks)
    assert [root / image for image in kept.images] == [r.path for r in records]
    np.testing.assert_allclose(kept.answers.ap["joined"], whole.ap, atol=1e-6)
    np.testing.assert_array_equal(kept.answers.first["joined"], whole.first)
    assert kept.answers.ap["glca"].mean() == pytest.approx(record["glca_mAP"], abs=1e-6)
    assert kept.answers.cameras.tolist() == cameras and kept.answers.identities == tuple(map(str, names))
    assert {name: maps.shape for name, maps in kept.maps.items()} == dict.fromkeys(MapRecorder.kept, (12, 3, 5))


def test_the_tables_and_the_twins(root: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    words = ["eval", "--task", "reid", "--dataset", "yard", "--data-root", str(root), "--checkpoint", str(checkpoint)]
    few = ["--pairs", "3", "--pairs-occluded", "1", "--steps", "3"]
    assert main([*words, "--workers", "0", "--analysis", "--rerank", *few]) == 0
    shown = capsys.readouterr().out
    record = json.loads((checkpoint / "evaluation.json").read_text())
    twins = json.loads((checkpoint / "analysis.json").read_text())
    assert twins["pairs"] == 2 and twins["fingerprint"] == record["fingerprint"]
    for text in (
        *(
            "12 queries",
            "among the images of the other cameras alone",
            "SA and GLCA joined",
            "after k-reciprocal re-ranking",
            "hardest identities: ",
        ),
        *(f"{record[name]:.2%} (" for name in ("mAP", "sa_rank1", "glca_mINP")),
        *(f"{record['reranked'][name]:.2%} (" for name in ("mAP", "rank5")),
        *("2 pairs of twins; 12 images", "evidence that a vehicle matches its twin, GLCA", "control: centre prior"),
        "what match evidence is worth on 3 pairs",
        *("similarity, mean of the branches", "margin, GLCA", "every patch taken out by itself"),
        f"{twins['evidence']['targets']['margin']['sa']['relevance']['worth']['mean']:.3f} (",
        f"{twins['evidence']['dependence']['fused']['mean']:.3f} (",
        f"{twins['told_apart']['sa']['mean']:.3f} (",
        f"{twins['density']['same/glca']['mean']:.3f} (",
    ):
        assert text in shown, text


def test_evidence_is_measured_on_any_data_set(checkpoint: Path, tmp_path: Path):
    table = write_coloured(tmp_path)
    study = AnalysisConfig(pairs=2, pairs_occluded=0, steps=2)
    record, _ = measure(config(table, checkpoint, dataset="reid-csv", analysis=True, study=study))
    evidence = json.loads((checkpoint / "analysis.json").read_text())["evidence"]
    assert evidence == record["analysis"]["evidence"] and evidence["pairs"] == 2
    assert "told_apart" not in record["analysis"] and "occlusion" not in evidence["targets"]["margin"]["fused"]
    again, _ = measure(config(table, checkpoint, dataset="reid-csv", analysis=True, study=study))
    assert again["analysis"]["evidence"] == evidence


def test_the_checkpoint_says_which_task_and_so_which_data():
    for given in (EvalConfig("x"), EvalConfig("x", dataset="yard"), EvalConfig("x", task="reid")):
        assert (given.completed("reid").dataset, given.completed("reid").root) == ("yard", Yard.home)
    assert EvalConfig("x").completed("fgvc").dataset == "cub"
    assert EvalConfig("x", dataset="yard").completed("fgvc").root == YardModels.home
    with pytest.raises(DCALError, match="trained for task 'fgvc', not 'reid': and 'market1501' is a data set of the"):
        EvalConfig("x", dataset="market1501").completed("fgvc")
    with pytest.raises(DCALError, match="unknown dataset 'duck'"):
        EvalConfig("x", dataset="duck")
    with pytest.raises(DCALError, match=r"data_root .* not set.*: give the folder that holds 'market1501'"):
        _ = EvalConfig("x", task="reid", dataset="market1501").root


def test_queries_without_a_match_are_said(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = write_coloured(tmp_path)
    text = table.read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("7_1.png", "7_3.png"))]  # of the other camera
    table.write_text("\n".join(kept) + "\n")
    words = ["--task", "reid", "--dataset", "reid-csv", "--data-root", str(table), "--checkpoint", str(checkpoint)]
    assert main(["eval", *words, "--workers", "0"]) == 0
    shown = capsys.readouterr().out
    before, figures, _ = shown.partition("4 queries, 1 more have no match")
    assert figures and "1 of the 5 queries have no match in the gallery: the figures are of the other 4" in before
    record = json.loads((checkpoint / "evaluation.json").read_text())
    assert (record["queries"], record["skipped"]) == (5, 1) and sum(c["queries"] for c in record["per_camera"]) == 4


def test_a_camera_that_shares_no_identity_is_skipped_across_cameras():
    path = Path("x")
    names, cameras = [1, 1, 2, 2, 1], [1, 2, 3, 3, 2]
    records = tuple(ReIDRecord(path / str(i), n, c) for i, (n, c) in enumerate(zip(names, cameras, strict=True)))
    values = torch.nn.functional.normalize(torch.randn(5, 4), dim=1).numpy()
    found = QueryGallery(records, records).judge_across(Embeddings(values, None)).qualities["sa"]
    assert found.skipped.tolist() == [3, 4] and np.isfinite(found.ap[:3]).all()  # camera 3's come last
    assert 0 < found.mAP <= 1


def test_one_query_with_a_match_has_no_interval(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = write_coloured(tmp_path)
    lines = table.read_text().splitlines()
    gone = tuple(f"{who}_{number}.png" for who in range(8, 12) for number in (1, 3))  # four queries' matches
    rows = [line for line in lines if not line.startswith(gone)]
    table.write_text("\n".join(rows) + "\n")
    assert main([*words_for(table, checkpoint)]) == 0
    record = json.loads((checkpoint / "evaluation.json").read_text())
    assert record["intervals"] == {} and f" {record['mAP']:.2%}" in capsys.readouterr().out


def test_images_of_one_camera(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = write_coloured(tmp_path)
    head, *rows = (line.split(",") for line in table.read_text().splitlines())
    for row in rows:
        row[head.index("camera")] = "1"
    table.write_text("\n".join(map(",".join, [head, *rows])) + "\n")
    assert main([*words_for(table, checkpoint)]) == 2
    assert "queries has a match by another camera. If all images are of one camera, use --one-camera" in (
        capsys.readouterr().err
    )
    assert main([*words_for(table, checkpoint), "--one-camera"]) == 0
    one = json.loads((checkpoint / "evaluation.json").read_text())
    assert one["queries"] > one["skipped"] == 0 and "across_cameras" not in one
    assert main(["data", "check", "reid-csv", str(table), "--workers", "0"]) == 0
    assert "of one camera: train and evaluate with --one-camera" in capsys.readouterr().out


def test_with_one_camera_an_image_is_not_its_own_match():
    records = tuple(ReIDRecord(Path(str(i)), n, 1) for i, n in enumerate([1, 1, 2, 2, 3]))
    values = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    found = QueryGallery(records, records, one_camera=True).judge(Embeddings(values, None)).qualities["sa"]
    ranked = [sorted(set(range(5)) - {i}, key=lambda j, i=i: -values[i] @ values[j]) for i in range(5)]
    first = [next(r for r, j in enumerate(ranked[i], 1) if j == i ^ 1) for i in range(4)]
    np.testing.assert_allclose(found.ap[:4], 1 / np.array(first))
    assert found.skipped.tolist() == [4]


def test_sides_with_nothing_in_common():
    query, gallery = ((ReIDRecord(Path(str(i)), i, i),) for i in (1, 2))
    with pytest.raises(DCALError, match=r"none of the 1 queries has a match in the gallery$"):
        QueryGallery(query, gallery).check()
    with pytest.raises(DCALError, match="none of the 1 queries has a match"):
        QueryGallery(query, gallery).judge(Embeddings(np.eye(2, dtype=np.float32), None))


def words_for(table: Path, checkpoint: Path) -> list[str]:
    words = ["eval", "--task", "reid", "--dataset", "reid-csv", "--data-root", str(table)]
    return [*words, "--checkpoint", str(checkpoint), "--workers", "0"]


def test_what_is_refused(root: Path, checkpoint: Path, tmp_path: Path):
    with pytest.raises(DCALError, match="pairs_occluded must not be negative, got -1"):
        AnalysisConfig(pairs_occluded=-1)
    with pytest.raises(DCALError, match="rerank and one_camera belong to --task reid"):
        EvalConfig("x", root, rerank=True).completed("fgvc")
    fgvc = save_checkpoint(create_model("test_vit", 3, img_size=32).eval(), tmp_path / "fgvc")
    with pytest.raises(DCALError, match="was trained for task 'fgvc', not 'reid': use --task fgvc"):
        measure(config(root, fgvc))
