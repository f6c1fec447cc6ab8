"""A run's figures, line by line: log.jsonl and TensorBoard always, Weights & Biases or trackio on request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from dcal.training.config import TrainConfig
from dcal.training.distributed import Processes
from dcal.training.epoch_maps import Images, Maps, drawings
from dcal.training.run_log import parsed
from dcal.training.step import Step
from dcal.training.trackers import trackers


class RunLogger:
    """Takes lines, dictionaries with "epoch" and "step", and writes each at once to all that listen.

    A resumed run drops what an earlier process wrote of the steps that are done again. Nested names become
    "losses/sa" in TensorBoard (out/tensorboard) and in the trackers that `config` names a project for (`trackers`).
    Raises DCALError if one of these is requested and not installed.
    """

    def __init__(self, config: TrainConfig, after_step: int, pending: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter  # not before it is needed: it takes a second

        out = config.folder
        self.trackers = trackers(config)
        self.path = out / "log.jsonl"
        beside = self.path.with_suffix(".tmp")
        kept = "".join(f"{json.dumps(line)}\n" for line in kept_lines(self.path, after_step, pending))
        beside.write_text(kept, encoding="utf-8")
        beside.replace(self.path)
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=after_step + 1)

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        numbers = dict(flat(line))
        for name, value in numbers.items():
            if name not in ("epoch", "step"):
                self.board.add_scalar(name, value, line["step"])
        self.board.flush()  # a killed process must not take along what a resumed one will not do again
        for tracker in self.trackers:
            tracker.log(numbers, line["step"])

    def show(self, images: Images, maps: Maps, step: int) -> None:
        """Every map over every one of the fixed images, as "maps/rollout/0", wherever images can be shown."""
        drawn = {f"maps/{name}": drawings(images, maps, name) for name in maps}
        for name, some in drawn.items():
            for number, drawing in enumerate(some):
                self.board.add_image(f"{name}/{number}", drawing, step, dataformats="HWC")
        self.board.flush()
        for tracker in self.trackers:
            tracker.show(drawn, step)

    def close(self) -> None:
        self.board.close()
        for tracker in self.trackers:
            tracker.finish()


def kept_lines(path: Path, after_step: int, pending: bool = False) -> Iterator[Mapping[str, Any]]:
    """The lines of a log up to that step, without the export's, which is measured again.

    Nor with the evaluation after that step, if that is `pending`. What is no line of a log is left out: the last one,
    where the process was killed while it wrote it, or any other that was damaged.
    """
    if not path.is_file():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if (line := parsed(text)) is None:
            continue
        again = line.get("exported") or (pending and "split" in line and line["step"] == after_step)
        if line["step"] <= after_step and not again:
            yield line


def flat(line: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """A line's numbers under names like "losses/sa"; an evaluation's under its split's, like "test/top1"."""
    above = f"{line['split']}/" if "split" in line else above
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}/")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from ((f"{above}{name}/{index:02d}", number) for index, number in enumerate(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (name if name in ("epoch", "step") else f"{above}{name}"), value


class RunningMeans:
    """Means over the images since the last line, of all processes: the joint loss, each branch's loss and accuracy.

    Sums stay on the device until they are needed. PWCA's accuracy is with its distractor.
    """

    def __init__(self, branches: Sequence[str], device: torch.device) -> None:
        self.branches = tuple(branches)
        self.sums = torch.zeros(2 + 2 * len(self.branches), dtype=torch.float64, device=device)

    def add(self, step: Step, labels: Int[Tensor, " b"]) -> None:
        logits = (getattr(step.output, f"{branch}_logits") for branch in self.branches)
        hits = [(own.argmax(dim=-1) == labels).double().mean() for own in logits]
        losses = [step.losses[branch].double() for branch in self.branches]
        self.sums += len(labels) * torch.stack([torch.ones_like(hits[0]), step.total.double(), *losses, *hits])

    def means(self, ranks: Processes) -> dict[str, Any]:
        """{loss, losses, accuracies} over all processes; the window is empty afterwards."""
        ranks.sum_in_place([self.sums])
        images, loss, *rest = self.sums.tolist()
        self.sums.zero_()
        count, values = len(self.branches), [value / images for value in rest]
        return {
            "loss": loss / images,
            "losses": dict(zip(self.branches, values[:count], strict=True)),
            "accuracies": dict(zip(self.branches, values[count:], strict=True)),
        }
