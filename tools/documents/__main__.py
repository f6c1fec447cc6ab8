"""Write every measured table of README.md and docs/ anew from the bundled checkpoints' own files.

    python -m tools.documents [--check]

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. `--check` writes nothing and fails where a
document is not what the files give.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tools.documents import birds, reid
from tools.study.results import replace_text

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/reid.md", "docs/study.md")
TABLES: dict[str, Callable[[], str]] = {
    "birds": birds.summary,
    "birds, branches": birds.branches,
    "birds, maps": birds.maps,
    "vehicles": reid.summary,
    "rankings": reid.rankings,
    "evidence of a similarity": lambda: reid.evidence("similarity"),
    "evidence of a margin": lambda: reid.evidence("margin"),
    "dependence": reid.dependence,
    "evidence, methods": reid.methods,
    "links": reid.links,
    "similarities": reid.similarities,
    "twins": lambda: reid.twins("density", 1.0, 2),
    "twins, shares": lambda: reid.twins("share", 100.0, 2),
    "twins, trained": reid.twins_trained,
}
TABLE = re.compile(r"(<!-- table: (?P<name>[^>]+?) -->\n)(?:\|[^\n]*\n)*(<!-- end of table -->)")


def renewed(text: str) -> str:
    """The document with every table made anew. Raises KeyError for the name of none."""
    return TABLE.sub(lambda found: found[1] + TABLES[found["name"]]() + "\n" + found[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a table is out of date")
    check = parser.parse_args().check
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        if (new := renewed(old)) != old:
            stale.append(name)
            if not check:
                replace_text(path, new)
    if stale:
        print(f"{'out of date' if check else 'written anew'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
