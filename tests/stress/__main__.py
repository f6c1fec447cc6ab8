"""Faults on purpose, longer than CI has time for: `make stress`, or `python -m tests.stress [--short] [PART …]`.

Prints a table of figures, each part's rows as soon as it ends, and with `--write` puts the table into
docs/robustness.md. Exit status 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from dcal.provenance import hardware
from tests.stress.accounting import accounting
from tests.stress.disk import full_disk
from tests.stress.figures import Figure
from tests.stress.fuzz import fuzz
from tests.stress.kills import kills
from tests.stress.milvus import real_milvus
from tests.stress.server import crowd, large_images, sigterm, wrong_types

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "robustness.md"
BEGIN, END = "<!-- make stress writes from here -->", "<!-- to here -->"
PARTS: dict[str, Callable[[bool, Path], list[Figure]]] = {
    "fuzz": fuzz,
    "kills": kills,
    "disk": full_disk,
    "milvus": real_milvus,
    "types": wrong_types,
    "accounting": accounting,
    "memory": large_images,
    "sigterm": sigterm,
    "load": crowd,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)  # processes are forked
    found: list[Figure] = []
    for name in options.parts or PARTS:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="dcal-stress-") as folder:
            own = PARTS[name](options.short, Path(folder))
        found += own
        print(f"{name}: {time.perf_counter() - began:.0f} s", *rows_of(own), sep="\n", file=sys.stderr, flush=True)
    print(table := written(found, options.short))
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return int(any(figure.broken for figure in found))


def written(found: list[Figure], short: bool) -> str:
    machine = (
        f"{hardware(torch.device('cpu'))}; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end"
    )
    head = f"{date.today()}, {'short form, ' if short else ''}{machine}."
    return "\n".join([head, "", "| what | measured | promised |", "|---|---|---|", *rows_of(found)])


def rows_of(found: list[Figure]) -> list[str]:
    return [f"| {figure.what} | {figure.value} | {figure.promised} |" for figure in found]


if __name__ == "__main__":
    sys.exit(main())
