"""When a process that loads images dies: one sentence instead of PyTorch's traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dcal.errors import DCALError


@contextmanager
def worker_errors(what_now: str) -> Iterator[None]:
    """Turns the error of a DataLoader whose process was killed or crashed into a DCALError that ends in `what_now`."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"DataLoader worker \(pid.*?\) (.*?)\.?( It is possible.*)?$", str(error).splitlines()[0])
        if found is None:
            raise
        raise DCALError(
            f"a process that loads images ended ({found[1]}), often for want of memory: fewer --workers take less. "
            f"{what_now}"
        ) from error
