"""File modes of what was made as a temporary file or by a library that writes for the owner alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

STATUS = Path("/proc/self/status")  # states the umask without changing it, on Linux


def give_usual_mode(path: str | Path) -> None:
    """Give a file or folder the mode that it would have had if it had been made plainly: what the umask leaves."""
    path = Path(path)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask())


def umask() -> int:
    """The process's umask. Elsewhere than on Linux it is set and put back, so that another thread may meet it."""
    stated = re.search(r"^Umask:\s*([0-7]+)$", STATUS.read_text(), re.MULTILINE) if STATUS.is_file() else None
    if stated is not None:
        return int(stated[1], 8)
    own = os.umask(0o077)
    os.umask(own)
    return own
