"""Peak memory of each variant, in bytes: `python -m benchmarks.memory MODEL SIZE` prints it as JSON.

The C library is told to map every block above 64 KiB from the system and to give it back at once, so that the process's
high-water mark is that of its tensors. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch

from benchmarks.variants import variants
from benchmarks.worker import Worker

EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"}
WARM_UP = 2  # calls that load the library's code and workspaces, which stay, and are nobody's tensors
MEASURED = 2


def peaks(name: str, size: int) -> dict[str, int]:
    """Bytes at each variant's peak above the resting process, in a fresh interpreter: EXACT is read at its start."""
    command = [sys.executable, "-m", "benchmarks.memory", name, str(size)]
    done = subprocess.run(command, env=os.environ | EXACT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    torch.set_num_threads(1)
    found = {}
    for variant, call in variants(sys.argv[1], int(sys.argv[2])).items():
        with Worker(call) as worker:
            found[variant] = max([worker.peak() for _ in range(WARM_UP + MEASURED)][WARM_UP:])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
