"""What the help of every command costs: seconds of processor time, which other work on the machine hardly changes.

python -m benchmarks.help [--rounds 3]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

from dcal_explorer.cli.main import COMMANDS

SECOND_WORDS = {"data": ["check"], "index": ["build", "search", "group"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    calls = [[], *([name, *second] for name in COMMANDS for second in seconds_of(name))]
    for words in calls:
        print(f"dcal {' '.join([*words, '--help']):<24} {min(processor_time(words) for _ in range(rounds)):.2f} s")


def seconds_of(name: str) -> list[list[str]]:
    return [[], *([word] for word in SECOND_WORDS.get(name, []))]


def processor_time(words: list[str]) -> float:
    """Of one call with `--help`, from the start of the process to its end: user's and the system's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dcal", *words, "--help"], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
