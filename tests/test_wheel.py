"""The wheel, installed outside the checkout: names that cannot collide, no tools in it, and a program that runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 18 * 2**20  # bytes; nearly all of it is the yard


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what the wheel is made of, so that nothing is left behind in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("dcal", "app", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(out),
    ]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    place = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(place), str(wheel)]
    run = subprocess.run(install, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return place


def python(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python that finds the installed wheel before anything else, in a folder outside the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_its_top_level_names_are_our_own(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        listed = next(name for name in names if name.endswith("top_level.txt"))
        assert archive.read(listed).decode().split() == ["dcal", "dcal_explorer"]
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"dcal", "dcal_explorer"}


def test_it_holds_what_is_needed_at_run_time_and_no_tools(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / "app" / "dcal_explorer").rglob("*"):
        if path.suffix in {".css", ".js", ".webp", ".py"}:
            assert path.relative_to(ROOT / "app").as_posix() in names
    assert {f"dcal/data/yard/images/{path.name}" for path in (ROOT / "dcal/data/yard/images").glob("*")} <= names
    assert {"dcal/py.typed", "dcal_explorer/py.typed"} <= names
    assert not [name for name in names if "render" in name or name.startswith(("tools", "tests", "benchmarks"))]
    assert wheel.stat().st_size < LARGEST


def test_its_program_runs_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    where = python(site, tmp_path, "-c", "import dcal, dcal_explorer; print(dcal.__file__, dcal_explorer.__file__)")
    assert where.stdout.count(str(site)) == 2, where.stdout + where.stderr
    shown = python(site, tmp_path, "-m", "dcal_explorer.cli.program", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "demo" in shown.stdout
    refused = python(
        site, tmp_path, "-m", "dcal_explorer.cli.program", "demo", "--checkpoints", "nowhere", "--no-browser"
    )
    assert refused.returncode == 2
    assert "nowhere" in refused.stderr
    assert "nrecognized" not in refused.stderr, "the option itself must be known"


def test_the_faces_have_one_name(site: Path, tmp_path: Path) -> None:
    wrong = python(site, tmp_path, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import app.dcal_explorer")
    assert wrong.returncode != 0
    assert "import dcal_explorer, not app.dcal_explorer" in wrong.stderr
