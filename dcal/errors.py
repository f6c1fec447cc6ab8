"""What can go wrong that a user can mend. Each message says what was wrong, with numbers, and what to do."""

from collections.abc import Iterable, Mapping


class DCALError(ValueError):
    """Base of every error that a user can cause.

    Where a loader's process raised one, PyTorch raises another of its class with the whole traceback as its message;
    what it says is then cut out again, so that a damaged image is one line whoever read it.
    """

    def __init__(self, message: str = "") -> None:
        if message.startswith(f"Caught {type(self).__name__} in DataLoader worker"):
            message = message.rpartition(f"{type(self).__module__}.{type(self).__qualname__}: ")[2].strip()
        super().__init__(message)


class ImageError(DCALError):
    """An image cannot be read, or is not one that we show."""


class CheckpointError(DCALError):
    """A checkpoint is missing, incomplete, or does not fit its own configuration."""


class LossError(DCALError):
    """A loss is not finite, so going on would spoil the weights. `losses`: the branches that were weighed, by name."""

    def __init__(self, losses: Mapping[str, float]) -> None:
        super().__init__("the loss is not finite: " + ", ".join(f"{name} {loss}" for name, loss in losses.items()))
        self.losses = dict(losses)


class Interrupted(DCALError):
    """A run was asked to end by a signal, and saved its state before. `status`: the exit status that says so."""

    def __init__(self, message: str = "", signal: int = 2) -> None:
        super().__init__(message)
        self.status = 128 + signal


def check_choice(what: str, name: str, names: Iterable[str]) -> str:
    """`name` itself if it is one of `names`, else a DCALError that lists them."""
    if name not in names:
        raise DCALError(f"unknown {what} {name!r}: choose one of {', '.join(map(repr, names))}")
    return name
