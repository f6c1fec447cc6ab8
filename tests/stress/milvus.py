"""A real Milvus server, where DCAL_MILVUS_URL names one: the tests use milvus-lite otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.stress.figures import Figure, none_of

URL = "DCAL_MILVUS_URL"
WHAT = "a real Milvus server"


def real_milvus(short: bool, folder: Path) -> list[Figure]:
    """Whether it gives the embedded engine's answers, bit for bit."""
    if URL not in os.environ:
        return [Figure(WHAT, f"skipped: {URL} names none")]
    tests = Path(__file__).resolve().parents[1] / "gallery" / "test_gallery_milvus.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    failed = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0
    return [none_of(f"{WHAT}: other answers than the embedded engine's", int(failed))]
