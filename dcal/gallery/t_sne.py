"""t-SNE (van der Maaten and Hinton, 2008), here or in a process of its own, which says how far it is and can be ended.

`python t_sne.py ROWS POINTS PERPLEXITY SEED` is that process: it reads and writes NumPy files. It is started by its
path, so that it imports neither torch nor the package around it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from dcal.errors import DCALError

ITERATIONS = 1000
ITERATION = re.compile(r"\[t-SNE\] Iteration (\d+):")  # printed every 50 iterations
Rows = Float32[np.ndarray, "n d"]
Points = Float32[np.ndarray, "n 2"]


def t_sne(rows: Rows, perplexity: float, seed: int, verbose: int = 0) -> Points:
    """The rows in the plane, starting from their principal components. Prints how far it is with `verbose` 2."""
    from sklearn.manifold import TSNE

    method = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=ITERATIONS, verbose=verbose)
    return np.asarray(method.fit_transform(rows), dtype=np.float32)


def t_sne_steps(rows: Rows, perplexity: float, seed: int) -> Generator[float, None, Points]:
    """`t_sne` in a process of its own: the share of its iterations done, as it goes; at the end it returns the points.

    Whoever closes the generator ends the process. Raises DCALError if the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="dcal-t-sne-") as folder:
        given, made = Path(folder) / "rows.npy", Path(folder) / "points.npy"
        np.save(given, rows)
        command = [sys.executable, "-P", "-u", __file__, str(given), str(made), str(perplexity), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                line = ""
                for line in process.stdout or ():
                    if found := ITERATION.search(line):
                        yield min(1.0, int(found[1]) / ITERATIONS)
                if process.wait():
                    raise DCALError(f"t-SNE ended with {process.returncode}: {line.strip()}")
                points: Points = np.load(made)
                return points
            finally:
                process.kill()


def main() -> None:
    rows, points, perplexity, seed = sys.argv[1:]
    np.save(points, t_sne(np.load(rows), float(perplexity), int(seed), verbose=2))


if __name__ == "__main__":
    main()
