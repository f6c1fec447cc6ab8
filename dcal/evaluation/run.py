"""The whole of `dcal eval`: a checkpoint on a data set's test images, its figures, and the files that keep them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dcal.analysis import (
    analyse,
    draw_triples,
    evidence_summary,
    measure_evidence,
    summary,
    twin_summary,
    twins,
)
from dcal.data import DATASETS, REID_DATASETS
from dcal.data.reid.yard import YardRecord
from dcal.data.samples import ImageSamples, ReIDSamples, Samples
from dcal.data.workers import loaded, worker_errors
from dcal.device import find_device
from dcal.errors import DCALError
from dcal.evaluation.classification import evaluate
from dcal.evaluation.classification_report import figures
from dcal.evaluation.coarse_maps import MapRecorder
from dcal.evaluation.config import EvalConfig
from dcal.evaluation.image_results import PREDICTIONS, ImageResults, packed
from dcal.evaluation.predictions import as_predictions, as_ranks, digest
from dcal.evaluation.reid import QueryGallery, intervals, ranked_figures
from dcal.evaluation.similarities import calibration_of, similarity_record
from dcal.files import write_whole, writing
from dcal.model.checkpoint import fingerprint, load_checkpoint, read_json, read_metrics
from dcal.model.dcal import DCAL
from dcal.model.embeddings import embed
from dcal.progress import OnProgress, reported, silent
from dcal.provenance import command, hardware
from dcal.retrieval import Reranking

FIGURES, ANALYSIS = "evaluation.json", "analysis.json"
RUN = "run.json"  # which training writes beside its checkpoint: where the data set lies on this machine


def measure(
    config: EvalConfig, on_progress: OnProgress = silent, job: Evaluation | None = None
) -> tuple[dict[str, Any], list[str]]:
    """(the record of one evaluation, JSON-ready; sentences on where it was written, or why it was not).

    The record: `checkpoint`, `fingerprint`, `dataset`, the keys of `figures` (Re-ID: `ranked_figures`), `command`,
    `torch`, `hardware`, `seconds` and, if asked for, `analysis`, which has the keys of `dcal.analysis.summary` (Re-ID:
    `evidence`, with those of `evidence_summary`, and of the yard those of `twin_summary`). Files hold the same, the
    analysis in one of its own, so that a quick evaluation does not replace it; predictions.npz has what each image was
    answered, and coarse maps of it (`ImageResults`). `job`: what `open_evaluation` returned for the same configuration.
    Raises DCALError, before anything is computed, for an unknown device, an `out` that cannot be made, and a checkpoint
    of another task or other classes.
    """
    folder = results_folder(config)
    device = find_device(config.device)
    job = job or open_evaluation(config)
    about = {"checkpoint": config.checkpoint, "fingerprint": fingerprint(job.model), "dataset": job.dataset}
    how = {"command": command(config, "eval"), "torch": torch.__version__, "hardware": hardware(device)}
    job.model.to(device)

    began = time.perf_counter()
    with worker_errors("Nothing was written"):
        found = job.figures(on_progress)
    record = {**about, **found, **how, "seconds": round(time.perf_counter() - began, 1)}
    notes = [keep(record, folder, FIGURES), keep_bytes(packed(job.image_results()), folder, PREDICTIONS)]
    if config.analysis:
        began = time.perf_counter()
        with worker_errors("The figures are written, the analysis is not"):
            analysis = job.analysis(on_progress)
        record["analysis"] = {**analysis, "seconds": round(time.perf_counter() - began, 1)}
        notes.append(keep({**about, **how, **record["analysis"]}, folder, ANALYSIS))
    return record, notes


def open_evaluation(config: EvalConfig) -> Evaluation:
    """The model and the test split of an evaluation. What `config` leaves open, the checkpoint and its run state."""
    model = load_checkpoint(config.checkpoint)
    directory = Path(config.checkpoint)
    beside = directory.parent / RUN
    run = read_json(beside) if directory.is_dir() and beside.is_file() else {}
    dataset = config.dataset or run.get("dataset")
    if dataset is None and directory.is_dir():
        dataset = read_metrics(directory).get("dataset")
    root = run.get("data_root") if run.get("dataset") == dataset else None
    whole = config.completed(model.config.task, dataset, None if root is None else Path(root))
    return (ReIDEvaluation if whole.task == "reid" else ClassificationEvaluation)(whole, model)


class ClassificationEvaluation:
    """FGVC: is the class answered right?"""

    def __init__(self, config: EvalConfig, model: DCAL) -> None:
        self.config, self.model, self.data = config, model, DATASETS[str(config.dataset)](config.root, "test")
        check_classes(model, config, self.data.classes)
        self.dataset = str(self.data)

    @property
    def images(self) -> list[Path]:
        """Of the test split."""
        return [record.path for record in self.data.records]

    def figures(self, on_progress: OnProgress) -> dict[str, Any]:
        loaded = batches(self.config, ImageSamples(self.data.records, self.model.config.preprocess), on_progress)
        self.recorder = MapRecorder(self.model)
        self.found = evaluate(self.model, loaded, self.recorder)
        return figures(self.found, self.data.classes)

    def image_results(self) -> ImageResults:
        """Of what `figures` measured."""
        answers = as_predictions(self.found, digest(self.data.records))
        about = identify(self.model, self.dataset)
        images = tuple(self.data.shown(path) for path in self.images)
        return ImageResults(*about, images, answers, self.recorder.maps(), tuple(self.data.classes))

    def analysis(self, on_progress: OnProgress) -> dict[str, Any]:
        config = self.config
        return summary(
            analyse(self.model, self.data.records, config.study, config.batch_size, config.workers, on_progress)
        )


class ReIDEvaluation:
    """Re-ID: does the same identity come first?"""

    def __init__(self, config: EvalConfig, model: DCAL) -> None:
        self.config, self.model = config, model
        kind = REID_DATASETS[str(config.dataset)]
        self.query, self.gallery = (kind(config.root, split) for split in ("query", "gallery"))
        self.one_camera = config.one_camera or not self.query.cameras_known
        self.sides = QueryGallery(self.query.records, self.gallery.records, self.one_camera)
        self.sides.check()
        self.dataset = f"{self.query}. {self.gallery}"

    @property
    def images(self) -> list[Path]:
        """The queries."""
        return [record.path for record in self.query.records]

    def figures(self, on_progress: OnProgress) -> dict[str, Any]:
        loaded = batches(self.config, ReIDSamples(self.sides.images, self.model.config.preprocess), on_progress)
        self.recorder = MapRecorder(self.model)
        self.found = embed(self.model, (images for images, _ in loaded), self.recorder)
        self.qualities, seed = self.sides.judge(self.found), self.config.study.seed
        record = ranked_figures(self.qualities, self.sides, self.query.names, seed)
        others = {"across_cameras": self.sides.judge_across(self.found)} if self.sides.mixed else {}
        if self.config.rerank:
            others["reranked"] = self.sides.judge(self.found, rerank=Reranking())
        calibration = calibration_of(self.config.checkpoint, fingerprint(self.model))
        record["similarities"] = similarity_record(self.found.joined, self.sides, calibration)
        return record | {name: {**own.summary(), "intervals": intervals(own, seed)} for name, own in others.items()}

    def image_results(self) -> ImageResults:
        """Of what `figures` measured, a query a row."""
        answers = as_ranks(self.qualities, self.sides.query, self.query.names)
        images = tuple(self.query.shown(path) for path in self.images)
        rows, _ = self.sides.rows()
        maps = {name: values[rows] for name, values in self.recorder.maps().items()}
        return ImageResults(*identify(self.model, self.dataset), images, answers, maps)

    def analysis(self, on_progress: OnProgress) -> dict[str, Any]:
        study, query, gallery = self.config.study, self.sides.query, self.sides.gallery
        triples = draw_triples(query, gallery, study.pairs, study.seed, self.one_camera)
        measured = measure_evidence(
            self.model, triples, study.steps, study.seed, study.pairs_occluded, on_progress=on_progress
        )
        found = {"evidence": evidence_summary(measured, study.seed)}
        records = [record for record in self.sides.images if isinstance(record, YardRecord)]
        if len(records) == len(self.sides.images):  # only the yard knows of twins
            found |= twin_summary(twins(self.model, records, self.found, on_progress, study.seed), study.seed)
        return found


Evaluation = ClassificationEvaluation | ReIDEvaluation


def identify(model: DCAL, dataset: str) -> tuple[str, str, str]:
    """(fingerprint, data set, view) of an `ImageResults`."""
    own = model.config.preprocess
    aspect = Fraction(own.size[0], own.size[1])
    return fingerprint(model), dataset, f"{own.fit}, {own.crop_fraction:g} of the side, height : width = {aspect}"


def batches(config: EvalConfig, samples: Samples, on_progress: OnProgress) -> Iterator[tuple[Tensor, Tensor]]:
    loader = DataLoader(samples, batch_size=config.batch_size, num_workers=config.workers)
    return reported(loaded(loader), len(loader), "batches of images", on_progress)


def results_folder(config: EvalConfig) -> Path | None:
    """Where the files go: `out`, which is made, or else the checkpoint's own directory, if it is one."""
    if config.out is None:
        return Path(config.checkpoint) if Path(config.checkpoint).is_dir() else None
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DCALError(f"the results cannot go to {config.out}: {error.strerror}. Choose another --out") from error
    return config.out


def keep(values: Mapping[str, Any], folder: Path | None, name: str) -> str:
    """`keep_bytes` of a JSON file."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return keep_bytes(text.encode(), folder, name)


def keep_bytes(content: bytes, folder: Path | None, name: str) -> str:
    """Write a file, whole or not at all; a sentence that says where it is, or why there is none."""
    if folder is None:
        return f"{name} was not written: the checkpoint is not a directory. Choose a folder with --out"
    try:
        with writing(folder, len(content), "Choose a folder with --out"):
            write_whole(content, folder / name)
    except DCALError as error:  # what was measured is still printed
        return f"{name} was not written: {error}"
    return f"written: {folder / name}"


def check_classes(model: DCAL, config: EvalConfig, classes: Sequence[str]) -> None:
    """Raises DCALError unless the checkpoint knows the data set's classes."""
    own = model.config
    if own.classes != tuple(classes):
        raise DCALError(
            f"{config.checkpoint} knows {own.num_classes} classes ({few(own.classes)}), the data set has "
            f"{len(classes)} ({few(classes)}): they must be the same, in the same order"
        )


def few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") if names else "without names"
