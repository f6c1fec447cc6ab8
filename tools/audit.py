"""Known vulnerabilities of the pinned distributions: `python -m tools.audit`.

Runs pip-audit over constraints.txt. Exit status 1 if an advisory applies to a pinned version; 0, with a line that names
what was skipped, where the advisory data cannot be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
PIP_AUDIT = "pip-audit==2.10.1"
TIMEOUT = 180  # seconds


def main() -> int:
    found = report()
    if isinstance(found, str):
        print(f"audit skipped: {found}")
        return 0
    skipped = [entry["name"] for entry in found if "skip_reason" in entry]
    if len(skipped) == len(found):
        print(f"audit skipped: the advisory data cannot be reached for any of {len(found)} distributions")
        return 0
    wrong = vulnerable(found)
    print(f"audit: {len(found) - len(skipped)} distributions looked up, {len(wrong)} with an advisory")
    if skipped:
        print(f"audit skipped for {', '.join(skipped)}")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


def report() -> list[dict[str, Any]] | str:
    """pip-audit's entries, one a distribution; or, as one sentence, why there are none."""
    command = [sys.executable, "-m", "uv", "tool", "run", "--from", PIP_AUDIT, "pip-audit"]
    options = ["--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip", "--format", "json"]
    try:
        run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"pip-audit gave no answer within {TIMEOUT} s"
    try:
        entries: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        last = (run.stderr.strip() or "no output").splitlines()[-1]
        return f"pip-audit could not run ({last})"
    return entries


def vulnerable(entries: list[dict[str, Any]]) -> list[str]:
    """One line for each distribution with an advisory: its name, version, and the advisories' identifiers."""
    return [
        f"{entry['name']} {entry['version']}: {', '.join(advisory['id'] for advisory in entry['vulns'])}"
        for entry in entries
        if entry.get("vulns")
    ]


if __name__ == "__main__":
    sys.exit(main())
