"""The house's plan: imports flow one way, importing does nothing, rooms stay small."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room is a module or a package of dcal/, and may import only from those before it; inside a package anything goes.
ORDER = (
    *("errors", "registry", "modes", "files", "locks", "progress", "device", "provenance"),
    *("intervals", "preprocess", "image", "decoder"),
    *("model", "retrieval", "data", "explain"),
    *("draw", "analysis", "gallery", "evaluation", "training"),
    *("configs", "train", "notebook", "", "__main__"),  # public names: for the outside, not for modules of the core
)
RENDER = ROOT / "tools" / "yard"  # the yard's generator: a program of its own, which needs the `yard` extra
RENDER_ONLY = {"bpy": "bpy", "mathutils": "bpy", "skimage": "scikit-image"}  # what it alone may import, and whence
MILVUS_ONLY = {"grpc", "pymilvus"}  # what the gallery's other engine alone may import, from the `milvus` extra
FACES = {"gradio", "streamlit", "plotly", "rich", "tyro"}  # bars, tables and command lines are the faces' too
VAGUE = {"utils", "util", "helpers", "misc", "common"}
MAX_LINES = 350
MAX_BYTES = 16 * 2**20  # of one tracked file


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "app" else parts).removesuffix(".__init__")  # app/ is a source root


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, wherever it stands; `from a import b` is a.b, which may be a module or a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute here"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(place, module) of every import in a file, but for `if __name__ == "__main__":`, which importing does not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))]
    yield from ((f"{path.relative_to(ROOT)}:{line}", name) for line, name in imported(tree))


def room(name: str) -> str:
    """dcal.data.fgvc.cub.Record → "data"; dcal.create_model → "", because it is no module."""
    first = name.split(".")[1] if "." in name else ""
    return first if (ROOT / "dcal" / first).is_dir() or (ROOT / "dcal" / f"{first}.py").is_file() else ""


def test_imports_flow_one_way():
    unplaced = {room(module_name(path)) for path in sources("dcal")} - set(ORDER)
    assert not unplaced, f"give these modules their place in ORDER: {sorted(unplaced)}"
    wrong = []
    for path in sources("dcal"):
        here = room(module_name(path))
        for place, name in imports(path):
            if name.split(".")[0] == "dcal" and ORDER.index(room(name)) > ORDER.index(here):
                wrong.append(f"{place} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_core_does_not_know_the_apps_or_the_tests():
    roots = {"app", "benchmarks", "dcal_explorer", "tests", "tools", *FACES}
    wrong = [
        f"{place} imports {name}"
        for path in sources("dcal")
        for place, name in imports(path)
        if name.split(".")[0] in roots
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others():
    """Wherever the imports stand: one that hides in a function is a circle all the same. The public names of a
    package's `__init__` come from its modules, so these take what they need from each other, not from there."""
    modules = {module_name(path): path for path in sources("dcal", "app")}
    graph = {}
    for name, path in modules.items():
        longest = (next((m for m in (to, to.rpartition(".")[0]) if m in modules), None) for _, to in imports(path))
        graph[name] = {to for to in longest if to is not None}
    circles = {" → ".join(circle) for circle in _circles(graph)}
    assert not circles, "\n".join(sorted(circles))


def _circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """One circle through every module that can come back to itself, each once."""
    shown: set[str] = set()
    for start in graph:
        before: dict[str, str] = {}
        waiting = [start]
        while waiting and start not in before:
            here = waiting.pop(0)
            for to in sorted(graph[here]):
                if to not in before:
                    before[to] = here
                    waiting.append(to)
        if start in before and start not in shown:
            circle = [start]
            while before[circle[-1]] != start:
                circle.append(before[circle[-1]])
            shown.update(circle)
            yield [start, *reversed(circle[1:]), start]


def test_nothing_is_run_by_its_name():
    """runpy would run a module a second time, under a second name."""
    wrong = [place for path in sources("dcal", "app") for place, name in imports(path) if name.split(".")[0] == "runpy"]
    assert not wrong, "\n".join(wrong)


def test_the_demo_and_the_dashboard_do_not_know_each_other():
    faces, wrong = ROOT / "app" / "dcal_explorer", []
    for here, other in (("demo", "dashboard"), ("dashboard", "demo"), ("content", "demo"), ("content", "dashboard")):
        names = (imported for path in (faces / here).rglob("*.py") for imported in imports(path))
        wrong += [f"{place} imports {name}" for place, name in names if name.startswith(f"dcal_explorer.{other}")]
    assert not wrong, "\n".join(wrong)


def test_every_import_is_in_requirements():
    listed = {_plain(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)", (ROOT / "requirements.txt").read_text())}
    distributions = packages_distributions()
    wrong = []
    for path in sources("dcal", "app"):
        for place, name in imports(path):
            package = name.split(".")[0]
            if package in {"dcal", "dcal_explorer"} or package in sys.stdlib_module_names:
                continue
            if path.is_relative_to(RENDER) and package in RENDER_ONLY:
                continue
            if path == ROOT / "dcal" / "gallery" / "milvus_collection.py" and package in MILVUS_ONLY:
                continue
            if listed.isdisjoint(map(_plain, distributions.get(package, ()))):
                wrong.append(f"{place} imports {package}, which is not in requirements.txt")
    assert not wrong, "\n".join(wrong)


def test_only_the_generator_needs_its_extra():
    """Nothing else imports Blender, or the generator; and the extra lists what the generator imports."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    listed = {name.split("==")[0] for name in extra["yard"]}
    used = {name.split(".")[0] for path in RENDER.glob("*.py") for _, name in imports(path)}
    assert {RENDER_ONLY[name] for name in used & RENDER_ONLY.keys()} == listed
    wrong = [
        f"{place} imports {name}"
        for path in sources("dcal", "app")
        if not path.is_relative_to(RENDER)
        for place, name in imports(path)
        if name.split(".")[0] in RENDER_ONLY or name.startswith("tools.yard")
    ]
    assert not wrong, "\n".join(wrong)


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


IMPORT_EVERYTHING = """
import contextlib, importlib, os, random, sys
import numpy, torch
core, others = (names.split(",") for names in sys.argv[1:])
for name in others:  # what torch and timm do on import is not ours
    with contextlib.suppress(ModuleNotFoundError):  # `from a import b`, where b is a name
        importlib.import_module(name)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
effects = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING and arguments[0] != os.devnull:
        effects.append(f"writes {arguments[0]}")
    elif event in {"os.mkdir", "os.remove", "os.rename", "os.putenv", "socket.connect", "socket.getaddrinfo"}:
        effects.append(f"{event} {arguments}")
def state():
    return {
        "random": random.getstate(), "numpy": [str(part) for part in numpy.random.get_state()],
        "torch": torch.get_rng_state().tolist(), "threads": torch.get_num_threads(), "dtype": torch.get_default_dtype(),
        "tf32": torch.backends.cuda.matmul.allow_tf32, "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(), "grad": torch.is_grad_enabled(),
        "directory": os.getcwd(), "path": list(sys.path), "arguments": list(sys.argv),
    }
before = state()
sys.addaudithook(watch)
for name in core:
    importlib.import_module(name)
after = state()
effects += [f"changes {key}" for key in before if before[key] != after[key]]
effects += [f"imports {face}" for face in ("gradio", "streamlit", "plotly", "dcal_explorer") if face in sys.modules]
print("\\n".join(effects))
"""


def test_importing_does_nothing(tmp_path: Path):
    """In a process of its own: no file, no network, no generator, flag or environment touched, no face imported."""
    files = [path for path in sources("dcal") if not path.is_relative_to(RENDER)]
    core = [module_name(path) for path in files if path.name != "__main__.py"]
    others = {name for path in files for _, name in imports(path) if name.split(".")[0] != "dcal"}
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{IMPORT_EVERYTHING}"
    command = [sys.executable, "-B", "-c", code, ",".join(core), ",".join(sorted(others))]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "", f"importing {', '.join(core)}:\n{run.stdout}{run.stderr}"
    assert run.stderr == ""
    assert not list(tmp_path.iterdir())


def test_public_names_state_their_contract():
    dcal = importlib.import_module("dcal")
    bare = []
    for name in dcal.__all__:
        thing = getattr(dcal, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)):
            continue  # a table or a string: it has no docstring of its own
        text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
        if not text or text.startswith(f"{name}("):  # what a dataclass writes for itself
            bare.append(name)
    assert not bare, f"without a docstring: {bare}"
    assert len(set(dcal.__all__)) == len(dcal.__all__)


def test_no_public_name_is_also_a_module():
    """Importing `dcal.name` sets the attribute `name` of `dcal` to the module: a function called so would be gone."""
    dcal = importlib.import_module("dcal")
    modules = {path.name.removesuffix(".py") for path in (ROOT / "dcal").iterdir()}
    wrong = [name for name in dcal.__all__ if name in modules and not inspect.ismodule(getattr(dcal, name))]
    assert not wrong, f"rename the module of {wrong}"


@pytest.mark.parametrize("path", sources("dcal", "app"), ids=module_name)
def test_rooms_are_small_and_have_names(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path.relative_to(ROOT)} has {lines} lines, more than {MAX_LINES}: split it by nouns"
    assert VAGUE.isdisjoint(module_name(path).split(".")), f"{path.relative_to(ROOT)}: name it after what it holds"


def test_durations_are_not_read_off_a_clock_that_is_set():
    """`time.time` may go back; only the age of a file cannot be had otherwise, and there both signs are thought of."""
    found = set()
    for path in sources("dcal", "app"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if ast.unparse(node) in ("time.time", "datetime.now", "datetime.utcnow", "datetime.datetime.now"):
                found.add(path.relative_to(ROOT).as_posix())
    stamps = {"dcal/gallery/reviews.py"}  # when an answer was given; their order is that of their lines
    ages = {"dcal/files.py", "dcal/training/run_log.py", "app/dcal_explorer/demo/uploads.py"}
    assert found == stamps | ages


def test_no_tracked_file_is_large():
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: nothing is tracked")
    files = [ROOT / name for name in listing.split("\0") if name]
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in files if path.is_file()}
    large = {name: size for name, size in large.items() if size > MAX_BYTES}
    assert not large, f"more than {MAX_BYTES} bytes: {large}"
