"""`--help` is quick: nothing that takes long to import is imported for it. In a process of its own, as here all is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What takes from a third of a second to several to import; numpy and PIL, which the data sets need, take a tenth.
SLOW = (
    "torch",
    "timm",
    "torchvision",
    "scipy",
    "sklearn",
    "cv2",
    "pandas",
    "matplotlib",
    "gradio",
    "streamlit",
    "faiss",
)
HELP = """
import contextlib, io, sys
from dcal_explorer.cli.main import COMMANDS, main
slow = sys.argv[1].split(",")
calls = [[], *([name] for name in COMMANDS), *(["index", action] for action in ("build", "search", "group"))]
for words in calls:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        status = main([*words, "--help"])
    imported = [name for name in slow if name in sys.modules]
    if status or imported or "usage: dcal" not in shown.getvalue():
        sys.exit(f"dcal {' '.join([*words, '--help'])}: status {status}, imports {imported}")
"""


def test_help_imports_nothing_slow():
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'app')!r}]\n"
    command = [sys.executable, "-c", path + HELP, ",".join(SLOW)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
