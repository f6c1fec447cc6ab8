"""The dashboard under several sessions: how long each run of its script takes, and whether it ends without an error.

    python -m benchmarks.dashboard_load --sessions 5 --seconds 60

Each session speaks streamlit's own protocol over a WebSocket, as a browser does, and never pauses: it opens a page by a
link, with another image, checkpoint or query each time, and waits for the end of the run. Drawing in the browser is no
part of it. Pages come in turn, each session beginning with another, after each was opened once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from benchmarks.load import end_server, free_port, processor_seconds, quantile, resident
from dcal.provenance import hardware
from dcal_explorer.content.places import SAMPLES

ROOT = Path(__file__).resolve().parents[1]
START, LONGEST = 120, 300  # seconds until it serves; of one run
IMAGES = sorted(path.stem for path in SAMPLES.glob("*.webp"))
LINKS = {  # page → its links, one after the other
    "inspect": [f"image={name}&checkpoint={own}" for name in IMAGES for own in ("cub50-full", "cub50-sa_only")],
    "compare": [f"image={name}" for name in IMAGES],
    "ablations": [""],
    "reidentify": [f"checkpoint={own}" for own in ("reid-full", "reid-sa_only")],
    "images": ["", "page=2", "page=3"],
}


@dataclass(frozen=True)
class Run:
    """One run of the script: its page, wall time in seconds, and what it showed as an error."""

    page: str
    seconds: float
    error: str = ""


@contextmanager
def dashboard() -> Iterator[tuple[int, int]]:
    """(port, process id) of a dashboard of its own, which is ended afterwards."""
    port = free_port()
    server = str(ROOT / "app" / "dcal_explorer" / "dashboard" / "server.py")
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        server,
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ.copy())
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
        yield port, process.pid
    finally:
        end_server(process)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.perf_counter() + START
    while time.perf_counter() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the dashboard did not start within {START} s (exit status {process.poll()})")


def opened(port: int, page: str, query: str) -> Run:
    """A link that is opened: the run of its page, from the connection to the end of the script."""
    begun, errors = time.perf_counter(), []
    with connect(
        f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
    ) as socket:
        asked = BackMsg()
        asked.rerun_script.query_string, asked.rerun_script.page_name = query, page
        socket.send(asked.SerializeToString())
        while True:
            told = ForwardMsg.FromString(socket.recv(timeout=LONGEST, decode=False))
            element = told.delta.new_element
            if element.HasField("exception"):
                errors.append(element.exception.message)
            if told.HasField("page_not_found"):
                errors.append(f"no page {told.page_not_found.page_name}")
            if told.HasField("script_finished") and told.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return Run(page, time.perf_counter() - begun, "; ".join(errors))


def visit(port: int, number: int, until: float, runs: list[Run]) -> None:
    """One session's links until then, by `time.perf_counter`."""
    turns = itertools.count(number)
    for page in itertools.islice(itertools.cycle(LINKS), number, None):
        if time.perf_counter() > until:
            return
        links = LINKS[page]
        runs.append(opened(port, page, links[next(turns) % len(links)]))


def measure(sessions: int, seconds: float) -> dict[str, float]:
    """Times in seconds of all runs and of each page's, runs a second, errors, and the server's memory in MiB."""
    with dashboard() as (port, pid):
        for page, links in LINKS.items():
            if error := opened(port, page, links[0]).error:
                raise RuntimeError(f"page {page}: {error}")
        used, begun, runs = processor_seconds(pid), time.perf_counter(), list[Run]()
        threads = [
            threading.Thread(target=visit, args=(port, number, begun + seconds, runs)) for number in range(sessions)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, used = time.perf_counter() - begun, processor_seconds(pid) - used
        figures = {"runs a second": round(len(runs) / took, 2), "processor time a run (s)": round(used / len(runs), 3)}
        for name in ("all", *LINKS):
            own = sorted(run.seconds for run in runs if name in ("all", run.page))
            figures |= {f"{name} p50 (s)": quantile(own, 0.5), f"{name} p95 (s)": quantile(own, 0.95)}
        return figures | {"errors": sum(bool(run.error) for run in runs), "memory (MiB)": resident(pid)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    about = {
        "hardware": hardware(torch.device("cpu")),
        "load average": round(os.getloadavg()[0], 1),
        "sessions": options.sessions,
    }
    print(json.dumps(about | measure(options.sessions, options.seconds), indent=1))


if __name__ == "__main__":
    main()
