"""Several processes that train one model, started by torchrun: their ranks, and what they exchange.

There is no wrapper around the model: a step goes backward several times, and its gradients are summed once, here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dcal.device import find_device
from dcal.errors import DCALError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among all: number `rank` of `world`, and `local` on its machine, which is the number of its GPU."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def from_first(self, value: Value) -> Value:
        """The first process's value, in every process."""
        if self.world == 1:
            return value
        box = [value]
        with distributed_errors():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """Every process's value in the order of ranks, in every process."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        with distributed_errors():
            dist.all_gather_object(values, value)
        return values

    def sum_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one exchange."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with distributed_errors():
            dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def any(self, value: bool) -> bool:
        """Whether it holds in any process."""
        if self.world == 1:
            return value
        count = torch.tensor([float(value)])
        self.sum_in_place([count])
        return bool(count.item())

    def check_same(self, what: str, value: Any) -> None:
        """Raises DCALError if `value` is not the same in every process."""
        others = [rank for rank, theirs in enumerate(self.gather(value)) if theirs != value]
        if others:
            raise DCALError(
                f"process {self.rank} has other {what} than process{'es' if len(others) > 1 else ''} "
                f"{', '.join(map(str, others))}: all must be started with the same command, data and weights"
            )


@contextmanager
def distributed_errors() -> Iterator[None]:
    """Turns PyTorch's errors about a process that is gone into one line; the one that failed states its own reason."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DCALError(f"this process ends, because another one did or cannot be reached ({reason})") from error


def first_process() -> bool:
    """Whether this process is the one that speaks for all that torchrun started; without torchrun it is."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def process_group(device: str) -> Iterator[Processes]:
    """This process as one of those that torchrun started, connected; one by itself without torchrun.

    `device` is TrainConfig's. Processes talk over NCCL about what is on GPUs and over gloo about what is not. A process
    that fails leaves: torchrun then ends the others.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:  # which torchrun sets
        yield Processes()
        return
    cuda = torch.cuda.is_available() and device != "cpu"
    ranks = Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if cuda and ranks.local < torch.cuda.device_count():  # device_of says so if it is not
        torch.cuda.set_device(ranks.local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def device_of(device: str, ranks: Processes) -> torch.device:
    """Where this process trains. Raises DCALError for a device that torch does not know or that is not there."""
    found = find_device(device)
    if found.type == "cpu" or ranks.world == 1:
        return found
    if ":" in device:
        raise DCALError(f"device is {device!r}, but each of {ranks.world} processes takes its own GPU: use 'auto'")
    if ranks.local >= torch.cuda.device_count():
        raise DCALError(
            f"process {ranks.rank} is number {ranks.local + 1} on its machine, which has {torch.cuda.device_count()} "
            "GPUs: start at most as many processes a machine as it has GPUs (--nproc-per-node)"
        )
    return torch.device("cuda", ranks.local)


def sum_gradients(ranks: Processes, parameters: Iterable[nn.Parameter]) -> None:
    ranks.sum_in_place([parameter.grad for parameter in parameters if parameter.grad is not None])
